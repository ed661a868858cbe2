"""What is stored: one immutable value per row, its fields named as the columns are.

The aggregator makes them, storage writes them. Times are UTC nanoseconds here and `timestamptz` (microseconds) in SQL.
Seven numbers in the order of EMOTIONS become seven columns: `probabilities` -> `p_angry` … `p_neutral`, `smoothed` ->
`s_angry` … `s_neutral`, `mean` -> `mean_angry` … `mean_neutral`.
"""

from typing import TypeAlias

import msgspec

Seven: TypeAlias = tuple[float, float, float, float, float, float, float]


class Observation(msgspec.Struct, frozen=True, kw_only=True):
    """One face of one frame, classified. Key (run_id, seq, face)."""

    camera_id: str
    run_id: str
    seq: int
    face: int
    captured_at: int
    person_id: str  # '' for a face seen too briefly to be followed
    x: float
    y: float
    width: float
    height: float
    score: float
    probabilities: Seven
    smoothed: Seven
    dominant: str  # of the smoothed probabilities
    stress: float  # the smoothed stress score, 0 to 1
    stressed: bool


class WindowStat(msgspec.Struct, frozen=True, kw_only=True):
    """A person's, or with person_id '' a whole camera's, statistics over [window_start, window_start + window_seconds).

    Key (camera_id, run_id, person_id, window_seconds, window_start). Means and ratios are weighted by time, and
    None where nobody was seen.
    """

    camera_id: str
    run_id: str
    person_id: str
    window_seconds: int
    window_start: int
    frames: int  # frames of the camera in this window, with or without faces
    observations: int
    people: int
    seconds_observed: float  # person-seconds
    mean: Seven | None
    dominant: str | None  # of the means
    transitions: int  # changes of the smoothed dominant emotion, per person
    stress_mean: float | None
    stress_max: float | None
    stress_ratio: float | None  # share of the time observed that was spent in the stressed state
    happiness_ratio: float | None  # share of the time observed in which the smoothed dominant emotion was happy


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """A pseudonymous identity; later rows of the same person_id replace earlier ones. Key person_id."""

    person_id: str
    camera_id: str
    run_id: str
    first_seen: int
    last_seen: int
    observations: int
    seconds_observed: float


class StressEpisode(msgspec.Struct, frozen=True, kw_only=True):
    """A maximal time in which a person stayed in the stressed state. Key (person_id, started_at)."""

    person_id: str
    camera_id: str
    run_id: str
    started_at: int
    ended_at: int
    stress_mean: float
    stress_max: float


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """A frame that a stage could not process, and why. Key (run_id, seq). No picture is kept."""

    camera_id: str
    run_id: str
    seq: int
    captured_at: int
    stage: str
    reason: str


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One connection to a camera, or one replay of a file; later rows of the same run_id replace earlier ones."""

    run_id: str
    camera_id: str
    source: str  # without credentials
    live: bool
    width: int
    height: int
    started_at: int
    ended_at: int | None = None
    frames: int = 0
    dropped: int = 0
    faces: int = 0
    status: str = "running"  # running, finished, interrupted, lost (a camera; it is tried again), failed (a recording)
    error: str | None = None
    detector: str
    model: str


class Rows(msgspec.Struct, frozen=True, kw_only=True):
    """What became final together, and is stored in one transaction."""

    observations: list[Observation] = []
    windows: list[WindowStat] = []
    people: list[Person] = []
    episodes: list[StressEpisode] = []
    dead_letters: list[DeadLetter] = []
    revived: list[tuple[str, int]] = []  # (run_id, seq) of dead letters that came good

    def __bool__(self) -> bool:
        return any((self.observations, self.windows, self.people, self.episodes, self.dead_letters, self.revived))

    def extend(self, other: "Rows") -> None:
        """Appends the rows of `other`, in place."""
        self.observations.extend(other.observations)
        self.windows.extend(other.windows)
        self.people.extend(other.people)
        self.episodes.extend(other.episodes)
        self.dead_letters.extend(other.dead_letters)
        self.revived.extend(other.revived)
