"""Whether everything that was sent is in the database once, and says what it would have said undisturbed."""

from typing import Any

import msgspec

from contracts.emotions import EMOTIONS
from tests.pipeline.distributed.cluster import Cluster

MEANS = ", ".join(f"mean_{emotion}" for emotion in EMOTIONS)
WINDOWS = (
    f"SELECT window_seconds, window_start, frames, people, observations, {MEANS}, stress_ratio, happiness_ratio "
    "FROM window_stat WHERE person_id = '' AND camera_id = '{camera}' ORDER BY 1, 2"
)
KEYS = "SELECT seq, face FROM observation WHERE camera_id = '{camera}' ORDER BY 1, 2"
PEOPLE = "SELECT count(*) FROM person WHERE camera_id = '{camera}'"


class Account(msgspec.Struct):
    """The bill of a replay."""

    sent: int
    stored: int
    doubled: int
    missing: int
    dead: int


def account(place: Cluster, camera: str, sent: int) -> Account:
    """Counts the frames of a camera's only run: those with and without faces, through the windows that they are in."""
    ((runs, frames),) = place.ask(f"SELECT count(*), max(frames) FROM run WHERE camera_id = '{camera}'")
    assert runs == 1
    counted = [
        int(row[0])
        for row in place.ask(
            f"SELECT sum(frames) FROM window_stat WHERE camera_id = '{camera}' AND person_id = '' "
            "GROUP BY window_seconds"
        )
    ]
    ((dead,),) = place.ask(f"SELECT count(*) FROM dead_letter WHERE camera_id = '{camera}'")
    ((rows, keys),) = place.ask(
        f"SELECT count(*), count(DISTINCT (run_id, seq, face)) FROM observation WHERE camera_id = '{camera}'"
    )
    assert frames == sent
    doubled = max(0, max(counted) - sent) + rows - keys
    return Account(sent, max(counted) - dead, doubled, max(0, sent - min(counted)), dead)


def picture(place: Cluster, camera: str) -> dict[str, list[tuple[Any, ...]]]:
    """What the database says of a camera, without the names of its run and people."""
    queries = {"windows": WINDOWS, "observations": KEYS, "people": PEOPLE}
    return {name: place.ask(query.format(camera=camera)) for name, query in queries.items()}


def differences(
    one: dict[str, list[tuple[Any, ...]]], other: dict[str, list[tuple[Any, ...]]], within: float
) -> list[str]:
    """In what two pictures differ: counts must be equal, means and ratios within so much."""
    found = [name for name in ("observations", "people") if one[name] != other[name]]
    if len(one["windows"]) != len(other["windows"]):
        return [*found, f"{len(one['windows'])} windows against {len(other['windows'])}"]
    for mine, theirs in zip(one["windows"], other["windows"], strict=True):
        if mine[:4] != theirs[:4]:
            found.append(f"window {mine[:4]} against {theirs[:4]}")
        for a, b in zip(mine[5:], theirs[5:], strict=True):
            if (a is None) != (b is None) or (a is not None and abs(a - b) > within):
                found.append(f"window {mine[:2]}: {a} against {b}")
    return found
