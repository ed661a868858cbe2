"""The tables, as this version wants them. The migrations make them; a test holds the two against each other.

There are no foreign keys: rows of one run are written by several workers, in no order that a key could count on.
"""

from typing import Any, Final

from sqlalchemy import (
    REAL,
    BigInteger,
    Boolean,
    Column,
    Double,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    text,
)

from contracts.emotions import EMOTIONS
from storage.values import UtcTime

VERSION_TABLE: Final = "affectstream_version"

metadata: Final = MetaData(naming_convention={"pk": "%(table_name)s_pkey"})


def _column(name: str, kind: Any, comment: str, *, null: bool = False) -> Column[Any]:
    return Column(name, kind, nullable=null, comment=comment)


def _seven(prefix: str, kind: Any, what: str, *, null: bool = False) -> list[Column[Any]]:
    return [_column(f"{prefix}_{emotion}", kind, f"{what} of {emotion}, 0 to 1", null=null) for emotion in EMOTIONS]


def _camera_id() -> Column[Any]:
    return _column("camera_id", Text, "the camera's name, given by the user")


def _run_id() -> Column[Any]:
    return _column("run_id", Text, "one connection to a camera, or one replay of a file")


def _partial(name: str, columns: list[str], where: str) -> Index:
    return Index(name, *columns, postgresql_where=text(where), sqlite_where=text(where))


camera: Final = Table(
    "camera",
    metadata,
    _camera_id(),
    _column("created_at", UtcTime, "start of the camera's earliest run, event time; or when it was added, if earlier"),
    _column("url", Text, "address that the ingest workers read, with its password; null for none", null=True),
    _column("lease_owner", Text, "the ingest worker that reads it", null=True),
    _column("lease_until", UtcTime, "from then on another worker may take it, wall clock", null=True),
    Column(
        "lease_epoch", BigInteger, nullable=False, server_default="0",
        comment="counts up with every change of the worker",
    ),
    PrimaryKeyConstraint("camera_id"),
    comment="Named sources",
)  # fmt: skip

ingest_worker: Final = Table(
    "ingest_worker",
    metadata,
    _column("owner", Text, "name of the worker's process"),
    _column("joined_at", UtcTime, "when it came, wall clock"),
    _column("lease_until", UtcTime, "it counts as dead from then on, wall clock"),
    PrimaryKeyConstraint("owner"),
    comment="Ingest workers that share out the cameras among themselves",
)

run: Final = Table(
    "run",
    metadata,
    _run_id(),
    _camera_id(),
    _column("source", Text, "the file or address that was read, without credentials"),
    _column("live", Boolean, "a camera rather than a recording"),
    _column("width", Integer, "width of the picture, pixels"),
    _column("height", Integer, "height of the picture, pixels"),
    _column("started_at", UtcTime, "event time of the run's zero"),
    _column("ended_at", UtcTime, "event time of the end of the last frame; null while it runs", null=True),
    _column("frames", BigInteger, "frames accepted"),
    _column("dropped", BigInteger, "frames of a live source that were skipped to stay fresh"),
    _column("faces", BigInteger, "faces found, over all frames"),
    _column("status", Text, "running, finished, interrupted or failed"),
    _column("error", Text, "why it ended before its natural end", null=True),
    _column("detector", Text, "name of the face detector"),
    _column("model", Text, "name of the emotion model"),
    PrimaryKeyConstraint("run_id"),
    Index("run_by_camera", "camera_id", "started_at"),
    comment="Connections to a camera and replays of a file",
)

person: Final = Table(
    "person",
    metadata,
    _column("person_id", Text, "pseudonym"),
    _camera_id(),
    _run_id(),
    _column("first_seen", UtcTime, "event time of the first observation"),
    _column("last_seen", UtcTime, "event time of the latest observation"),
    _column("observations", BigInteger, "observations so far"),
    _column("seconds_observed", Double, "time observed, seconds"),
    PrimaryKeyConstraint("person_id"),
    Index("person_by_camera", "camera_id", "last_seen"),
    Index("person_by_time", "last_seen"),
    Index("person_by_run", "run_id"),
    comment="Pseudonymous identities",
)

observation: Final = Table(
    "observation",
    metadata,
    _camera_id(),
    _run_id(),
    _column("seq", BigInteger, "number of the frame in its run, from 0"),
    _column("face", Integer, "number of the face in its frame, from 0"),
    _column("captured_at", UtcTime, "event time of the frame"),
    _column("person_id", Text, "pseudonym; empty for a face seen too briefly to be followed"),
    _column("x", REAL, "left edge of the face, source pixels"),
    _column("y", REAL, "top edge of the face, source pixels"),
    _column("width", REAL, "width of the face, source pixels"),
    _column("height", REAL, "height of the face, source pixels"),
    _column("score", REAL, "the detector's certainty, 0 to 1"),
    *_seven("p", REAL, "raw probability"),
    *_seven("s", REAL, "smoothed probability"),
    _column("dominant", Text, "the emotion with the highest smoothed probability"),
    _column("stress", REAL, "smoothed stress score, 0 to 1; an indicator, not a diagnosis"),
    _column("stressed", Boolean, "whether the person is in the stressed state"),
    # Postgres wants the partition's column in the key. It adds nothing: a frame has one time.
    PrimaryKeyConstraint("run_id", "seq", "face", "captured_at"),
    Index("observation_by_time", "captured_at", postgresql_using="brin"),
    _partial("observation_by_person", ["person_id"], "person_id <> ''"),
    comment="One face of one frame, classified",
    postgresql_partition_by="RANGE (captured_at)",
    sqlite_with_rowid=False,
)

window_stat: Final = Table(
    "window_stat",
    metadata,
    _camera_id(),
    _run_id(),
    _column("person_id", Text, "pseudonym; empty for the whole camera"),
    _column("window_seconds", Integer, "length of the window, seconds"),
    _column("window_start", UtcTime, "event time of the window's start, aligned to the epoch"),
    _column("frames", BigInteger, "frames of the camera in this window, with or without faces"),
    _column("observations", BigInteger, "faces seen in this window, over all frames"),
    _column("people", Integer, "different people seen"),
    _column("seconds_observed", Double, "time observed, person-seconds"),
    *_seven("mean", Double, "time-weighted mean probability", null=True),
    _column("dominant", Text, "the emotion with the highest mean", null=True),
    _column("transitions", Integer, "changes of a person's dominant emotion"),
    _column("stress_mean", Double, "time-weighted mean of the stress score, 0 to 1", null=True),
    _column("stress_max", Double, "highest stress score, 0 to 1", null=True),
    _column("stress_ratio", Double, "share of the time observed spent in the stressed state, 0 to 1", null=True),
    _column("happiness_ratio", Double, "share of the time observed with happy dominant, 0 to 1", null=True),
    # The run is in the key: a camera that reconnects has two runs in one window, and neither may overwrite the other.
    PrimaryKeyConstraint("run_id", "camera_id", "person_id", "window_seconds", "window_start"),
    _partial("window_stat_by_camera", ["window_seconds", "camera_id", "window_start"], "person_id = ''"),
    _partial("window_stat_by_person", ["person_id", "window_seconds", "window_start"], "person_id <> ''"),
    Index("window_stat_by_time", "window_start", postgresql_using="brin", postgresql_with={"pages_per_range": 16}),
    comment="Statistics per window, of a person or of a whole camera, for each run",
    sqlite_with_rowid=False,
)

stress_episode: Final = Table(
    "stress_episode",
    metadata,
    _column("person_id", Text, "pseudonym"),
    _camera_id(),
    _run_id(),
    _column("started_at", UtcTime, "event time at which the stressed state began"),
    _column("ended_at", UtcTime, "event time at which it ended"),
    _column("stress_mean", Double, "mean stress score, 0 to 1"),
    _column("stress_max", Double, "highest stress score, 0 to 1"),
    PrimaryKeyConstraint("person_id", "started_at"),
    Index("stress_episode_by_camera", "camera_id", "started_at"),
    comment="Maximal times in which a person stayed in the stressed state",
)

dead_letter: Final = Table(
    "dead_letter",
    metadata,
    _camera_id(),
    _run_id(),
    _column("seq", BigInteger, "number of the frame in its run, from 0"),
    _column("captured_at", UtcTime, "event time of the frame"),
    _column("stage", Text, "the stage that failed"),
    _column("reason", Text, "why"),
    PrimaryKeyConstraint("run_id", "seq"),
    Index("dead_letter_by_camera", "camera_id", "captured_at"),
    comment="Frames that a stage could not process; no picture is kept",
)

checkpoint: Final = Table(
    "checkpoint",
    metadata,
    _camera_id(),
    _column("version", BigInteger, "counts up with every write; a writer with an older one has lost its place"),
    _column("state", LargeBinary, "the aggregator's state"),
    _column("updated_at", UtcTime, "when it was written, wall clock"),
    PrimaryKeyConstraint("camera_id"),
    comment="The aggregator's state for each camera, in the distributed mode",
)

forgotten: Final = Table(
    "forgotten",
    metadata,
    _column("mark", Text, "SHA-256 of the pseudonym"),
    _column("forgotten_at", UtcTime, "when that was asked for, wall clock"),
    PrimaryKeyConstraint("mark"),
    comment="People who were forgotten: what is still written about them is left out",
)
