"""The first tables and views."""
# ruff: noqa: S608  (the SQL is put together from the names in this file)

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

EMOTIONS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
TIME = sa.DateTime(timezone=True).with_variant(sa.Text(), "sqlite")
CAMERA_ID = ("camera_id", sa.Text, "the camera's name, given by the user")
RUN_ID = ("run_id", sa.Text, "one connection to a camera, or one replay of a file")
SEQ = ("seq", sa.BigInteger, "number of the frame in its run, from 0")
CAPTURED_AT = ("captured_at", TIME, "event time of the frame")
PSEUDONYM = ("person_id", sa.Text, "pseudonym")

Plain = tuple[str, Any, str]


def table(
    name: str, comment: str, key: tuple[str, ...], columns: list[Plain], null: tuple[str, ...] = (), **options: Any
) -> None:
    op.create_table(
        name,
        *(sa.Column(column, kind, nullable=column in null, comment=about) for column, kind, about in columns),
        sa.PrimaryKeyConstraint(*key, name=f"{name}_pkey"),
        comment=comment,
        **options,
    )


def seven(prefix: str, kind: Any, what: str) -> list[Plain]:
    return [(f"{prefix}_{emotion}", kind, f"{what} of {emotion}, 0 to 1") for emotion in EMOTIONS]


def upgrade() -> None:
    make_sources()
    make_people()
    make_observation()
    make_window_stat()
    make_views()


def make_sources() -> None:
    created_at = ("created_at", TIME, "start of the camera's earliest run, event time")
    table("camera", "Named sources", ("camera_id",), [CAMERA_ID, created_at])
    table(
        "run",
        "Connections to a camera and replays of a file",
        ("run_id",),
        [
            RUN_ID,
            CAMERA_ID,
            ("source", sa.Text, "the file or address that was read, without credentials"),
            ("live", sa.Boolean, "a camera rather than a recording"),
            ("width", sa.Integer, "width of the picture, pixels"),
            ("height", sa.Integer, "height of the picture, pixels"),
            ("started_at", TIME, "event time of the run's zero"),
            ("ended_at", TIME, "event time of the end of the last frame; null while it runs"),
            ("frames", sa.BigInteger, "frames accepted"),
            ("dropped", sa.BigInteger, "frames of a live source that were skipped to stay fresh"),
            ("faces", sa.BigInteger, "faces found, over all frames"),
            ("status", sa.Text, "running, finished, interrupted or failed"),
            ("error", sa.Text, "why it ended before its natural end"),
            ("detector", sa.Text, "name of the face detector"),
            ("model", sa.Text, "name of the emotion model"),
        ],
        null=("ended_at", "error"),
    )
    op.create_index("run_by_camera", "run", ["camera_id", "started_at"])
    table(
        "dead_letter",
        "Frames that a stage could not process; no picture is kept",
        ("run_id", "seq"),
        [
            CAMERA_ID,
            RUN_ID,
            SEQ,
            CAPTURED_AT,
            ("stage", sa.Text, "the stage that failed"),
            ("reason", sa.Text, "why"),
        ],
    )
    table(
        "checkpoint",
        "The aggregator's state for each camera, in the distributed mode",
        ("camera_id",),
        [
            CAMERA_ID,
            (
                "version",
                sa.BigInteger,
                "counts up with every write; a writer with an older one has lost its place",
            ),
            ("state", sa.LargeBinary, "the aggregator's state"),
            ("updated_at", TIME, "when it was written, wall clock"),
        ],
    )


def make_people() -> None:
    table(
        "person",
        "Pseudonymous identities",
        ("person_id",),
        [
            PSEUDONYM,
            CAMERA_ID,
            RUN_ID,
            ("first_seen", TIME, "event time of the first observation"),
            ("last_seen", TIME, "event time of the latest observation"),
            ("observations", sa.BigInteger, "observations so far"),
            ("seconds_observed", sa.Double, "time observed, seconds"),
        ],
    )
    op.create_index("person_by_camera", "person", ["camera_id", "last_seen"])
    op.create_index("person_by_run", "person", ["run_id"])
    table(
        "stress_episode",
        "Maximal times in which a person stayed in the stressed state",
        ("person_id", "started_at"),
        [
            PSEUDONYM,
            CAMERA_ID,
            RUN_ID,
            ("started_at", TIME, "event time at which the stressed state began"),
            ("ended_at", TIME, "event time at which it ended"),
            ("stress_mean", sa.Double, "mean stress score, 0 to 1"),
            ("stress_max", sa.Double, "highest stress score, 0 to 1"),
        ],
    )
    op.create_index("stress_episode_by_camera", "stress_episode", ["camera_id", "started_at"])


def make_observation() -> None:
    table(
        "observation",
        "One face of one frame, classified",
        ("run_id", "seq", "face", "captured_at"),
        [
            CAMERA_ID,
            RUN_ID,
            SEQ,
            ("face", sa.Integer, "number of the face in its frame, from 0"),
            CAPTURED_AT,
            ("person_id", sa.Text, "pseudonym; empty for a face seen too briefly to be followed"),
            ("x", sa.REAL, "left edge of the face, source pixels"),
            ("y", sa.REAL, "top edge of the face, source pixels"),
            ("width", sa.REAL, "width of the face, source pixels"),
            ("height", sa.REAL, "height of the face, source pixels"),
            ("score", sa.REAL, "the detector's certainty, 0 to 1"),
            *seven("p", sa.REAL, "raw probability"),
            *seven("s", sa.REAL, "smoothed probability"),
            ("dominant", sa.Text, "the emotion with the highest smoothed probability"),
            ("stress", sa.REAL, "smoothed stress score, 0 to 1; an indicator, not a diagnosis"),
            ("stressed", sa.Boolean, "whether the person is in the stressed state"),
        ],
        postgresql_partition_by="RANGE (captured_at)",
        sqlite_with_rowid=False,
    )
    op.create_index("observation_by_time", "observation", ["captured_at"], postgresql_using="brin")


def make_window_stat() -> None:
    means = seven("mean", sa.Double, "time-weighted mean probability")
    ratios: list[Plain] = [
        ("stress_mean", sa.Double, "time-weighted mean of the stress score, 0 to 1"),
        ("stress_max", sa.Double, "highest stress score, 0 to 1"),
        ("stress_ratio", sa.Double, "share of the time observed spent in the stressed state, 0 to 1"),
        ("happiness_ratio", sa.Double, "share of the time observed with happy dominant, 0 to 1"),
    ]
    table(
        "window_stat",
        "Statistics per window, of a person or of a whole camera, for each run",
        ("run_id", "camera_id", "person_id", "window_seconds", "window_start"),
        [
            CAMERA_ID,
            RUN_ID,
            ("person_id", sa.Text, "pseudonym; empty for the whole camera"),
            ("window_seconds", sa.Integer, "length of the window, seconds"),
            ("window_start", TIME, "event time of the window's start, aligned to the epoch"),
            ("frames", sa.BigInteger, "frames of the camera in this window, with or without faces"),
            ("observations", sa.BigInteger, "faces seen in this window, over all frames"),
            ("people", sa.Integer, "different people seen"),
            ("seconds_observed", sa.Double, "time observed, person-seconds"),
            *means,
            ("dominant", sa.Text, "the emotion with the highest mean"),
            ("transitions", sa.Integer, "changes of a person's dominant emotion"),
            *ratios,
        ],
        null=("dominant", *(name for name, _, _ in (*means, *ratios))),
        sqlite_with_rowid=False,
    )
    op.create_index("window_stat_by_time", "window_stat", ["camera_id", "window_seconds", "window_start"])


def make_views() -> None:
    view(
        "camera_window",
        "A camera's statistics per window, over all its runs; means and ratios are weighted by time",
        merged(
            "camera_id, window_seconds, window_start",
            "sum(frames) AS frames, sum(observations) AS observations, sum(people) AS people",
            "FROM window_stat WHERE person_id = ''",
        ),
    )
    view(
        "person_window",
        "A person's statistics per window, over all runs; means and ratios are weighted by time",
        merged(
            "camera_id, person_id, window_seconds, window_start",
            "sum(frames) AS frames, sum(observations) AS observations",
            "FROM window_stat WHERE person_id <> ''",
        ),
    )
    smallest = "SELECT run_id, min(window_seconds) AS window_seconds FROM window_stat GROUP BY run_id"
    means = ", ".join(f"w.mean_{emotion}" for emotion in EMOTIONS)
    windows = merged(
        "person_id",
        "count(*) AS windows",
        f"FROM window_stat JOIN ({smallest}) AS smallest USING (run_id, window_seconds) WHERE person_id <> ''",
    )
    episodes = "SELECT person_id, count(*) AS episodes FROM stress_episode GROUP BY person_id"
    view(
        "person_summary",
        "Each person's statistics over all the time observed",
        "SELECT p.person_id, p.camera_id, p.first_seen, p.last_seen, p.observations, p.seconds_observed, "
        f"{means}, w.dominant, w.transitions, w.stress_mean, w.stress_max, w.stress_ratio, w.happiness_ratio, "
        "coalesce(e.episodes, 0) AS stress_episodes "
        f"FROM person AS p LEFT JOIN ({windows}) AS w ON w.person_id = p.person_id "
        f"LEFT JOIN ({episodes}) AS e ON e.person_id = p.person_id",
    )


def merged(keys: str, counts: str, rows: str) -> str:
    """SQL that merges rows of window_stat with the same keys, weighting by the time observed."""
    names = [f"mean_{emotion}" for emotion in EMOTIONS]
    means = ", ".join(f"{weighted(name)} AS {name}" for name in names)
    ratios = ", ".join(f"{weighted(name)} AS {name}" for name in ("stress_mean", "stress_ratio", "happiness_ratio"))
    inner = (
        f"SELECT {keys}, {counts}, sum(seconds_observed) AS seconds_observed, {means}, "
        f"sum(transitions) AS transitions, max(stress_max) AS stress_max, {ratios} {rows} GROUP BY {keys}"
    )

    def highest(name: str) -> str:
        return " AND ".join(f"{name} >= {other}" for other in names if other != name)

    cases = " ".join(f"WHEN {highest(name)} THEN '{emotion}'" for name, emotion in zip(names, EMOTIONS, strict=True))
    return f"SELECT merged.*, CASE {cases} END AS dominant FROM ({inner}) AS merged"


def weighted(column: str) -> str:
    """The mean by time; where no time was observed at all, the plain mean."""
    seconds = f"sum(CASE WHEN {column} IS NOT NULL THEN seconds_observed END)"
    return f"coalesce(sum({column} * seconds_observed) / nullif({seconds}, 0), avg({column}))"


def view(name: str, comment: str, query: str) -> None:
    op.execute(f"CREATE VIEW {name} AS {query}")
    if op.get_bind().dialect.name == "postgresql":
        op.execute(f"COMMENT ON VIEW {name} IS '{comment.replace(chr(39), chr(39) * 2)}'")
