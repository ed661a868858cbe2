"""What the API answers with. Times are ISO 8601 in UTC; shares, scores and probabilities are 0 to 1."""

from datetime import datetime
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from contracts.emotions import EMOTIONS

T = TypeVar("T")

Share = Annotated[float, Field(ge=0, le=1)]
CameraName = Annotated[str, Field(description="the camera's name, given by the user", examples=["door"])]
Pseudonym = Annotated[str, Field(description="pseudonym of the person", examples=["door-20260131T090000.1"])]
RunId = Annotated[str, Field(description="one connection to the camera, or one replay of a file")]
Emotion = Annotated[str, Field(description="the emotion with the highest mean", examples=["happy"])]
Score = Annotated[float, Field(description="stress score, 0 to 1; an indicator, not a diagnosis", examples=[0.2])]


class Model(BaseModel):
    model_config = ConfigDict(from_attributes=True, frozen=True)


class Emotions(Model):
    """Seven probabilities, which sum to 1."""

    angry: float
    disgust: float
    fear: float
    happy: float
    sad: float
    surprise: float
    neutral: float


def _named(seven: Any) -> Any:
    """Seven numbers in the order of EMOTIONS, by name."""
    return dict(zip(EMOTIONS, seven, strict=True)) if isinstance(seven, tuple | list) else seven


Seven = Annotated[Emotions, BeforeValidator(_named)]


class Page(Model, Generic[T]):
    """Some rows, and where the next ones are."""

    items: list[T]
    next: str | None = Field(description="path and query of the next page; null where this is the last")


class Camera(Model):
    """A camera: what is registered, and what was seen with it."""

    camera_id: CameraName
    registered: bool = Field(description="whether the ingest workers are to read it")
    address: str | None = Field(description="where it is read, without credentials; null where it is not registered")
    read_by: str | None = Field(description="the ingest worker that reads it now")
    created_at: datetime
    runs: int
    live: bool | None = Field(description="whether the latest run was of a camera rather than a recording")
    status: str | None = Field(description="of the latest run", examples=["running"])
    last_seen: datetime | None = Field(description="event time until which it was seen")
    frames: int
    dropped: int = Field(description="frames of a live source that were skipped to stay fresh")
    faces: int
    people: int
    dead_letters: int = Field(description="frames that could not be processed")


class Address(BaseModel):
    """Where a camera is read."""

    model_config = ConfigDict(extra="forbid")

    address: str = Field(
        min_length=1,
        max_length=4000,
        description="rtsp://…, http://… or a webcam's number; stored with its user and password, and never shown",
        examples=["rtsp://user:password@192.0.2.7/stream"],
    )


class CameraNow(Model):
    """A camera as it is now."""

    camera_id: CameraName
    run_id: RunId | None
    live: bool
    status: str = Field(description="of the latest run", examples=["running"])
    people: int = Field(description="present now")
    dominant: Emotion | None
    mean: Seven | None = Field(description="over all who are present; null where nobody is")
    stress: Score | None
    last_seen: datetime | None = Field(description="event time of the newest frame or window")


class PersonNow(Model):
    """A person who is before a camera now."""

    person_id: Pseudonym
    camera_id: CameraName
    since: datetime = Field(description="when the person appeared; of the stored windows, the newest one's beginning")
    last_seen: datetime
    dominant: Emotion
    smoothed: Seven
    stress: Score
    stressed: bool = Field(description="of the stored windows: for most of the newest one")


class Now(Model, Generic[T]):
    """What is now."""

    source: Literal["live", "stored"] = Field(
        description="live: from the process that watches the cameras; stored: from the newest windows in the database"
    )
    items: list[T]


class _Statistics(Model):
    camera_id: CameraName
    window_seconds: int = Field(description="length of the window")
    window_start: datetime
    frames: int = Field(description="frames of the camera in this window, with or without faces")
    observations: int = Field(description="faces seen, over all frames")
    seconds_observed: float = Field(description="person-seconds")
    mean: Seven | None = Field(description="time-weighted; null where nobody was seen")
    dominant: Emotion | None
    transitions: int = Field(description="changes of a person's dominant emotion")
    stress_mean: Score | None
    stress_max: Score | None
    stress_ratio: Share | None = Field(description="share of the time observed spent in the stressed state")
    happiness_ratio: Share | None = Field(description="share of the time observed with happy dominant")


class Window(_Statistics):
    """A camera's statistics over [window_start, window_start + window_seconds)."""

    people: int = Field(description="different people seen")


class PersonWindow(_Statistics):
    """A person's statistics over a window."""

    person_id: Pseudonym


class Episode(Model):
    """A maximal time in which a person stayed in the stressed state."""

    person_id: Pseudonym
    camera_id: CameraName
    run_id: RunId
    started_at: datetime
    ended_at: datetime
    seconds: float
    stress_mean: Score
    stress_max: Score


class Person(Model):
    """A person over all the time observed."""

    person_id: Pseudonym
    camera_id: CameraName
    first_seen: datetime
    last_seen: datetime
    observations: int
    seconds_observed: float
    mean: Seven | None
    dominant: Emotion | None
    transitions: int | None
    stress_mean: Score | None
    stress_max: Score | None
    stress_ratio: Share | None
    happiness_ratio: Share | None
    stress_episodes: int


class Forgotten(Model):
    """What became of an erasure."""

    person_id: Pseudonym
    removed: dict[str, int] = Field(
        description="rows removed from each table; of checkpoint, the cameras whose state had the person in it",
        examples=[{"observation": 480, "window_stat": 12, "stress_episode": 1, "person": 1, "checkpoint": 0}],
    )
    left: dict[str, int] = Field(description="rows in which the pseudonym still stands; empty unless it went wrong")
    notes: list[str] = Field(description="where traces may be left, and what removes them")


class Run(Model):
    """One connection to a camera, or one replay of a file."""

    run_id: RunId
    camera_id: CameraName
    source: str = Field(description="what was read, without credentials")
    live: bool = Field(description="a camera rather than a recording")
    width: int
    height: int
    started_at: datetime
    ended_at: datetime | None = Field(description="null while it goes on")
    frames: int
    dropped: int
    faces: int
    status: str = Field(examples=["finished"])
    error: str | None = Field(description="why it ended before its natural end")
    detector: str
    model: str


class Health(Model):
    """How this server is."""

    status: Literal["ok"]
    version: str
    database: str = Field(description="which database, without credentials")
    cameras: int
    newest: datetime | None = Field(description="event time of the newest data")
    age_seconds: float | None = Field(description="how old that is, by this machine's clock")
    troubles: list[str] = Field(description="what viewers should know, such as a server that is away")


class Event(Model):
    """Something that happened."""

    id: int = Field(description="counts up, from the Unix time in ms at which the process began")
    at: datetime = Field(description="event time")
    kind: Literal[
        "run_started", "run_ended", "person_appeared", "person_left", "stress_began", "stress_ended", "dead_letter"
    ]
    camera_id: CameraName
    person_id: Pseudonym | None
    text: str = Field(description="one line for people", examples=["person 3 appeared"])
