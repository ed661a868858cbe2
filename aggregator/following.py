"""One face, followed through time: its smoothed emotions, its stress, and how long each observation stands."""

import math
from collections.abc import Mapping
from typing import Final, cast

import msgspec

from aggregator.tracking import SECOND, Track
from aggregator.windows import Span
from contracts.emotions import EMOTIONS
from contracts.rows import Observation, Seven
from contracts.settings import AggregatorSettings


class Episode(msgspec.Struct):
    """Time in the stressed state, up to now."""

    started_at: int
    ended_at: int
    seconds: float = 0.0
    stress_sum: float = 0.0
    stress_max: float = 0.0

    def add(self, span: Span) -> None:
        seconds = (span.end - span.start) / SECOND
        self.ended_at = span.end
        self.seconds += seconds
        self.stress_sum += seconds * span.stress
        self.stress_max = max(self.stress_max, span.stress)


class Followed(msgspec.Struct):
    """A face from its first observation to its last; a person once it was seen `min_hits` times.

    Until then its observations wait, because nobody knows yet whose they are. The span of an observation is known when
    the next one comes, so the last one is always still `current`.
    """

    track: Track
    first_seen: int
    smoothed: Seven
    current: Span
    stress: float
    person_id: str = ""
    observations: int = 1
    seconds: float = 0.0
    gap: int = 0  # ns between the last two observations, at most the hold
    high_since: int | None = None
    episode: Episode | None = None
    waiting: list[Observation] = []
    waiting_spans: list[Span] = []
    waiting_episodes: list[Episode] = []

    @property
    def settled(self) -> int:
        """Nothing that this face will still be credited with begins before this time."""
        return self.waiting_spans[0].start if self.waiting_spans else self.current.start

    def last_span(self) -> Span:
        """The span of the last observation of all: as long as the one before it."""
        return msgspec.structs.replace(self.current, end=self.current.start + self.gap)


class Reader:
    """Turns the probabilities of a face into its smoothed emotions and its stress, as the settings say.

    Exponential smoothing by time constant: the weight of what came before falls by e in each constant, whatever the
    frame rate. The stress score is a weighted sum of probabilities; the stressed state has a hysteresis.
    """

    def __init__(self, settings: AggregatorSettings) -> None:
        self._settings: Final = settings
        self._hold: Final = round(settings.hold * SECOND)
        self._weights: Final = _weights(settings.stress_weights)

    def begin(self, track: Track, probabilities: Seven, now: int) -> Followed:
        """A face that was not there before."""
        stress = self._stress(probabilities)
        face = Followed(
            track=track,
            first_seen=now,
            smoothed=probabilities,
            current=Span(now, now, probabilities, _dominant(probabilities), False, stress, False),
            stress=stress,
        )
        self._judge(face, now)
        face.current = msgspec.structs.replace(face.current, stressed=face.episode is not None)
        return face

    def follow(self, face: Followed, probabilities: Seven, now: int) -> tuple[Span, Episode | None]:
        """The face was seen again. Returns the finished span of the observation before, and the episode that ended."""
        settings = self._settings
        before = face.current
        face.gap = min(now - before.start, self._hold)
        span = msgspec.structs.replace(before, end=before.start + face.gap)
        if face.episode is not None:
            face.episode.add(span)
        elapsed = (now - before.start) / SECOND
        keep = _keep(elapsed, settings.smoothing)
        face.smoothed = cast(
            Seven, tuple(p + keep * (s - p) for s, p in zip(face.smoothed, probabilities, strict=True))
        )
        raw = self._stress(probabilities)
        face.stress = raw + _keep(elapsed, settings.stress_smoothing) * (face.stress - raw)
        ended = self._judge(face, now)
        dominant = _dominant(face.smoothed)
        face.current = Span(
            now, now, probabilities, dominant, dominant != before.dominant, face.stress, face.episode is not None
        )
        face.observations += 1
        return span, ended

    def _judge(self, face: Followed, now: int) -> Episode | None:
        """Moves the face into the stressed state or out of it; returns the episode that this ends."""
        settings = self._settings
        if face.episode is not None:
            if face.stress > settings.stress_off:
                return None
            ended, face.episode = face.episode, None
            face.high_since = None
            ended.ended_at = now
            return ended
        if face.stress < settings.stress_on:
            face.high_since = None
            return None
        if face.high_since is None:
            face.high_since = now
        if now - face.high_since >= settings.stress_on_after * SECOND:
            face.episode = Episode(started_at=now, ended_at=now)
        return None

    def _stress(self, probabilities: Seven) -> float:
        score = sum(w * p for w, p in zip(self._weights, probabilities, strict=True))
        return min(max(score, 0.0), 1.0)


def _weights(by_name: Mapping[str, float]) -> tuple[float, ...]:
    return tuple(by_name.get(emotion, 0.0) for emotion in EMOTIONS)


def _keep(elapsed: float, constant: float) -> float:
    return math.exp(-elapsed / constant) if constant > 0 else 0.0


def _dominant(probabilities: Seven) -> int:
    return max(range(len(EMOTIONS)), key=probabilities.__getitem__)
