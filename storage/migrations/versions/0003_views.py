"""Views for everything that people ask about, each column with its meaning; indexes that keep the answers quick."""
# ruff: noqa: S608  (the SQL is put together from the names in this file)

from collections.abc import Sequence
from typing import Any, Final

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

EMOTIONS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
MEANS: Final = tuple(f"mean_{emotion}" for emotion in EMOTIONS)
RATIOS: Final = ("stress_mean", "stress_ratio", "happiness_ratio")
OLD: Final = ("camera_window", "person_window", "person_summary")
BRIN: Final = {"pages_per_range": 16}
NEW: Final = ("episode", "camera_run", "camera_summary", "person_moment", "dead_frame")

COLUMNS: Final = {
    "camera_id": "the camera's name, given by the user",
    "run_id": "one connection to a camera, or one replay of a file",
    "person_id": "pseudonym: one unbroken appearance before a camera",
    "seq": "number of the frame in its run, from 0",
    "captured_at": "event time of the frame",
    "window_seconds": "length of the window, seconds; choose one, as every length covers all the time",
    "window_start": "event time of the window's start, aligned to the epoch",
    "frames": "frames accepted, with or without faces",
    "dropped": "frames of a live source that were skipped to stay fresh",
    "faces": "faces found, over all frames",
    "observations": "faces seen, over all frames",
    "people": "different people seen",
    "seconds_observed": "time observed, person-seconds",
    **{f"mean_{emotion}": f"time-weighted mean probability of {emotion}, 0 to 1" for emotion in EMOTIONS},
    **{f"p_{emotion}": f"raw probability of {emotion}, 0 to 1" for emotion in EMOTIONS},
    **{f"s_{emotion}": f"smoothed probability of {emotion}, 0 to 1" for emotion in EMOTIONS},
    "dominant": "the emotion with the highest mean; null where nobody was seen",
    "transitions": "changes of a person's dominant emotion",
    "stress_mean": "time-weighted mean of the stress score, 0 to 1; an indicator, not a diagnosis",
    "stress_max": "highest stress score, 0 to 1",
    "stress_ratio": "share of the time observed spent in the stressed state, 0 to 1",
    "happiness_ratio": "share of the time observed with happy dominant, 0 to 1",
    "live": "a camera rather than a recording",
    "status": "running, finished, interrupted, lost (a camera, which is tried again) or failed",
}
"""What a column means, in every view that has it and does not say otherwise."""


def upgrade() -> None:
    on_postgres = op.get_bind().dialect.name == "postgresql"
    readers = readers_of("camera_window") if on_postgres else []
    for name in OLD:
        op.execute(f"DROP VIEW {name}")
    make_indexes()
    if on_postgres:
        # A person has some ten windows. From its sample Postgres takes them for many more, since most rows are of
        # cameras, and compiles a question (JIT) for longer than it takes to answer.
        op.execute("ALTER TABLE window_stat ALTER COLUMN person_id SET (n_distinct = -0.05)")
    make_windows()
    make_person_summary(on_postgres)
    make_moments(on_postgres)
    make_cameras(on_postgres)
    for reader in readers:
        op.execute(f"GRANT SELECT ON {', '.join((*OLD, *NEW))} TO {reader}")


def readers_of(name: str) -> Sequence[str]:
    """Who may read a view of Postgres: they keep that right, and get it for the new ones."""
    who = "CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END"
    rights = f"FROM pg_class, aclexplode(relacl) WHERE oid = to_regclass('{name}') AND privilege_type = 'SELECT'"
    return op.get_bind().scalars(sa.text(f"SELECT DISTINCT {who} {rights}")).all()


def make_indexes() -> None:
    """Few and small ones, as every row that is written pays for them."""
    op.drop_index("window_stat_by_time", "window_stat")
    index("window_stat_by_camera", "window_stat", "window_seconds camera_id window_start", where="person_id = ''")
    index("window_stat_by_person", "window_stat", "person_id window_seconds window_start", where="person_id <> ''")
    # Rows come in the order of time, more or less, which makes this one tiny in Postgres.
    index("window_stat_by_time", "window_stat", "window_start", postgresql_using="brin", postgresql_with=BRIN)
    # Without the time: so the entries of a person, hundreds of them, are packed into one.
    index("observation_by_person", "observation", "person_id", where="person_id <> ''")
    index("person_by_time", "person", "last_seen")
    index("dead_letter_by_camera", "dead_letter", "camera_id captured_at")


def index(name: str, table: str, columns: str, where: str | None = None, **options: Any) -> None:
    only = None if where is None else sa.text(where)
    op.create_index(name, table, columns.split(), postgresql_where=only, sqlite_where=only, **options)


def make_windows() -> None:
    view(
        "camera_window",
        "A camera's statistics per window, over all its runs; means and ratios are weighted by time",
        merged(
            "camera_id, window_seconds, window_start",
            f"{total('frames')}, {total('observations')}, {total('people')}",
            "FROM window_stat WHERE person_id = ''",
        ),
        people="different people seen, where there are several runs at once the sum over them",
    )
    view(
        "person_window",
        "A person's statistics per window, over all runs; means and ratios are weighted by time",
        merged(
            "camera_id, person_id, window_seconds, window_start",
            f"{total('frames')}, {total('observations')}",
            "FROM window_stat WHERE person_id <> ''",
        ),
        frames="frames of the camera in this window, with or without faces",
    )


def make_person_summary(on_postgres: bool) -> None:
    # In a run, the shortest windows of a person cover the time observed once. Postgres looks for them among the windows
    # of only those people that are asked for; SQLite knows no LATERAL.
    lateral, only = ("LATERAL", "AND person_id = p.person_id") if on_postgres else ("", "")
    shortest = "min(window_seconds) OVER (PARTITION BY run_id, person_id)"
    theirs = f"SELECT *, {shortest} AS shortest FROM window_stat WHERE person_id <> '' {only}"
    windows = merged("person_id", "count(*) AS windows", f"FROM ({theirs}) AS theirs WHERE window_seconds = shortest")
    means = ", ".join(f"w.{name}" for name in MEANS)
    view(
        "person_summary",
        "Each person's statistics over all the time observed",
        "SELECT p.person_id, p.camera_id, p.first_seen, p.last_seen, p.observations, p.seconds_observed, "
        f"{means}, w.dominant, w.transitions, w.stress_mean, w.stress_max, w.stress_ratio, w.happiness_ratio, "
        "(SELECT count(*) FROM stress_episode AS e WHERE e.person_id = p.person_id) AS stress_episodes "
        f"FROM person AS p LEFT JOIN {lateral} ({windows}) AS w ON w.person_id = p.person_id",
        first_seen="event time of the first observation",
        last_seen="event time of the latest observation",
        seconds_observed="time observed, seconds",
        stress_episodes="number of stress episodes",
    )


def make_moments(on_postgres: bool) -> None:
    seconds = (
        "CAST(extract(epoch FROM ended_at - started_at) AS DOUBLE PRECISION)"
        if on_postgres
        else " - ".join(f"(strftime('%s', {at}) + substr({at}, 20, 7))" for at in ("ended_at", "started_at"))
    )
    view(
        "episode",
        "Maximal times in which a person stayed in the stressed state",
        f"SELECT person_id, camera_id, run_id, started_at, ended_at, {seconds} AS seconds, stress_mean, stress_max "
        "FROM stress_episode",
        started_at="event time at which the stressed state began",
        ended_at="event time at which it ended",
        seconds="how long it lasted, seconds",
        stress_mean="mean stress score, 0 to 1; an indicator, not a diagnosis",
    )
    probabilities = ", ".join(f"{prefix}_{emotion}" for prefix in "ps" for emotion in EMOTIONS)
    view(
        "person_moment",
        "A person in one frame: what the face showed",
        f"SELECT person_id, camera_id, run_id, seq, captured_at, {probabilities}, dominant, stress, stressed "
        "FROM observation WHERE person_id <> ''",
        dominant="the emotion with the highest smoothed probability",
        stress="smoothed stress score, 0 to 1; an indicator, not a diagnosis",
        stressed="whether the person is in the stressed state",
    )
    view(
        "dead_frame",
        "Frames that could not be processed; no picture is kept",
        "SELECT camera_id, run_id, seq, captured_at, stage, reason FROM dead_letter",
        stage="the stage that failed",
        reason="why",
    )


def make_cameras(on_postgres: bool) -> None:
    view(
        "camera_run",
        "Connections to a camera and replays of a file",
        "SELECT run_id, camera_id, source, live, width, height, started_at, ended_at, frames, dropped, faces, status, "
        "error, detector, model FROM run",
        source="the file or address that was read, without credentials",
        width="width of the picture, pixels",
        height="height of the picture, pixels",
        started_at="event time of the run's zero",
        ended_at="event time of the end of the last frame; null while it runs",
        error="why it ended before its natural end; null if it did not",
        detector="name of the face detector",
        model="name of the emotion model",
    )
    window_end = (
        "window_start + make_interval(secs => window_seconds)"
        if on_postgres
        else "strftime('%Y-%m-%d %H:%M:%S.000000Z', window_start, '+' || window_seconds || ' seconds')"
    )
    # Of the shortest windows, which are the first to end; along the key, whose last entry this is.
    of_latest = "FROM window_stat WHERE run_id = latest.run_id AND camera_id = latest.camera_id AND person_id = ''"
    last_window = (
        f"SELECT {window_end} {of_latest} AND window_seconds = (SELECT min(window_seconds) {of_latest}) "
        "ORDER BY window_start DESC LIMIT 1"
    )
    latest = "SELECT run_id FROM run WHERE camera_id = c.camera_id ORDER BY started_at DESC, run_id DESC LIMIT 1"
    sums = ", ".join(total(name) for name in ("frames", "dropped", "faces"))
    view(
        "camera_summary",
        "Each camera: how it stands, and what it has seen in all its runs",
        "SELECT c.camera_id, c.created_at, coalesce(runs.runs, 0) AS runs, latest.live, latest.status, "
        f"coalesce(latest.ended_at, ({last_window}), latest.started_at) AS last_seen, "
        "coalesce(runs.frames, 0) AS frames, coalesce(runs.dropped, 0) AS dropped, coalesce(runs.faces, 0) AS faces, "
        "(SELECT count(*) FROM person WHERE person.camera_id = c.camera_id) AS people, "
        "(SELECT count(*) FROM dead_letter WHERE dead_letter.camera_id = c.camera_id) AS dead_letters "
        f"FROM camera AS c LEFT JOIN run AS latest ON latest.run_id = ({latest}) "
        f"LEFT JOIN (SELECT camera_id, count(*) AS runs, {sums} FROM run GROUP BY camera_id) AS runs "
        "ON runs.camera_id = c.camera_id",
        created_at="start of the camera's earliest run, event time; or when it was added, if earlier",
        runs="number of its runs",
        live="the latest run reads a camera rather than a recording; null before the first run",
        status="of the latest run: running, finished, interrupted, lost (it is tried again) or failed",
        last_seen="event time until which it was seen: the latest run's end, or of its latest window while it runs",
        dead_letters="frames that could not be processed",
    )


def merged(keys: str, counts: str, rows: str) -> str:
    """SQL that merges rows of window_stat with the same keys, weighting by the time observed."""
    means = ", ".join(f"{weighted(name)} AS {name}" for name in MEANS)
    ratios = ", ".join(f"{weighted(name)} AS {name}" for name in RATIOS)
    inner = (
        f"SELECT {keys}, {counts}, sum(seconds_observed) AS seconds_observed, {means}, "
        f"{total('transitions')}, max(stress_max) AS stress_max, {ratios} {rows} GROUP BY {keys}"
    )

    def highest(name: str) -> str:
        return " AND ".join(f"{name} >= {other}" for other in MEANS if other != name)

    cases = " ".join(f"WHEN {highest(name)} THEN '{emotion}'" for name, emotion in zip(MEANS, EMOTIONS, strict=True))
    return f"SELECT merged.*, CASE {cases} END AS dominant FROM ({inner}) AS merged"


def weighted(column: str) -> str:
    """The mean by time; null where no time was observed, and there alone is the column null."""
    return f"sum({column} * seconds_observed) / nullif(sum(seconds_observed), 0)"


def total(column: str) -> str:
    """A sum of whole numbers that stays one: Postgres would make it a numeric."""
    return f"CAST(sum({column}) AS BIGINT) AS {column}"


def view(name: str, about: str, query: str, **columns: str) -> None:
    """Makes a view and says what it and each of its columns mean; `columns` where COLUMNS does not fit."""
    op.execute(f"CREATE VIEW {name} AS {query}")
    if op.get_bind().dialect.name == "postgresql":
        comment(f"VIEW {name}", about)
        for column in sa.inspect(op.get_bind()).get_columns(name):
            comment(f"COLUMN {name}.{column['name']}", {**COLUMNS, **columns}[column["name"]])


def comment(what: str, about: str) -> None:
    op.execute(f"COMMENT ON {what} IS '{about.replace(chr(39), chr(39) * 2)}'")
