"""What is known of one camera's last minutes: derived from rows, in event time, when somebody asks.

Of each person one observation of every second is kept, the last; the charts are made of these.
"""

from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from contracts.emotions import EMOTIONS
from contracts.rows import DeadLetter, Observation, Person, Rows, Run, Seven, StressEpisode, WindowStat
from contracts.settings import Settings

SECOND: Final = 1_000_000_000
KEEP: Final = 300
"""Seconds of event time that the live page looks back."""
LATE: Final = 60
"""Seconds that a window may take to come once it is over."""


class CameraNow(msgspec.Struct, frozen=True, kw_only=True):
    """A camera as it is now. Times are event times in UTC ns."""

    camera_id: str
    run_id: str | None
    live: bool
    status: str  # as in contracts.rows.Run
    people: int  # present now
    dominant: str | None  # of `mean`
    mean: Seven | None  # of the smoothed probabilities of all who are present
    stress: float | None  # mean score of all who are present
    last_seen: int | None  # event time of the newest frame
    dropped: int  # frames of the latest run that were skipped to stay fresh
    failed: int  # frames of the latest run that could not be processed


class PersonNow(msgspec.Struct, frozen=True, kw_only=True):
    """A person as last seen. Times are event times in UTC ns."""

    person_id: str
    camera_id: str
    since: int
    last_seen: int
    dominant: str
    smoothed: Seven
    stress: float
    stressed: bool


class LiveEvent(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened. `id` counts up from the ms at which this process began, `at` is event time in UTC ns."""

    id: int
    at: int
    kind: str  # run_started, run_ended, person_appeared, person_left, stress_began, stress_ended, dead_letter
    camera_id: str
    person_id: str | None
    text: str


class Trace(msgspec.Struct, frozen=True, kw_only=True):
    """A curve of the last minutes, N points; None where nobody was seen."""

    at: list[int]  # [N] UTC ms
    mean: list[Seven | None]  # [N]
    stress: list[float | None]  # [N]


Tell = Callable[[int, str, str | None, str], None]
"""Told of each event: at, kind, person_id, text."""


def memory(settings: Settings) -> int:
    """Nanoseconds of event time that are kept. Where there are only windows, the newest must be among them: it comes
    when it is over, and is the newest until the next has come.
    """
    window = 2 * min(settings.aggregator.windows) + LATE if settings.privacy.aggregate else 0
    return max(KEEP, window) * SECOND


class _Known(msgspec.Struct):
    """A person of the last minutes."""

    person_id: str
    since: int
    latest: Observation
    present: bool = True
    stressed: bool = False
    announced: bool = False
    episodes: dict[int, StressEpisode] = {}  # by their beginning


def short_name(person_id: str) -> str:
    """The number at the end of a pseudonym, which is what people can read."""
    return person_id.rpartition(".")[2] or person_id


class CameraState:
    """One camera's last minutes. Used by one thread at a time."""

    def __init__(self, camera_id: str, settings: Settings, tell: Tell) -> None:
        self.camera_id: Final = camera_id
        self.run: Run | None = None
        self.now: int | None = None
        """Event time of the newest frame."""
        self.failed = 0
        self.dropped = 0
        self._tell: Final = tell
        self._per_person: Final = not settings.privacy.aggregate
        self._window: Final = min(settings.aggregator.windows)
        self._memory: Final = memory(settings)
        self._lost_after: Final = round(settings.aggregator.lost_after * SECOND)
        self._min_hits: Final = settings.aggregator.min_hits
        self._people: Final[dict[str, _Known]] = {}
        self._forgotten: Final[set[str]] = set()
        self._seconds: Final[dict[int, dict[str, Observation]]] = {}
        self._windows: Final[dict[int, WindowStat]] = {}
        self._quiet = False
        self._swept = 0  # the second at which was last looked for what is too old

    # in

    def started(self, run: Run) -> None:
        if self.run is not None and self.run.run_id == run.run_id:
            return
        self._empty(self.now)
        if self.now is not None and not 0 <= run.started_at - self.now <= self._memory:
            self._seconds.clear()  # another time: its curves do not belong beside these
            self._windows.clear()
            self._people.clear()
        self.run, self.failed, self.dropped = run, 0, run.dropped
        self.now = run.started_at
        self._tell(run.started_at, "run_started", None, f"{run.source} began" if run.source else "began")

    def ended(self, run: Run) -> None:
        if self.run is None or self.run.run_id != run.run_id:
            self.started(run)
        elif self.run.status != "running":
            return
        self.run, self.dropped = run, run.dropped
        if run.ended_at is not None:
            self.now = max(self.now or 0, run.ended_at)
        self._empty(self.now)
        text = {"finished": "ended", "interrupted": "was stopped"}.get(run.status, run.status)
        self._tell(self.now or run.started_at, "run_ended", None, f"{text}: {run.error}" if run.error else text)

    def rows(self, rows: Rows, until: int = 0, *, past: bool = False) -> None:
        """`until`: how far the frames have come. `past`: looked up later than it happened, so that the comings and
        goings in it are no news.
        """
        self._quiet = past
        for letter in rows.dead_letters:
            self._dead_letter(letter)
        for window in rows.windows:
            if window.window_seconds == self._window and not window.person_id:
                self._windows[window.window_start // SECOND] = window
                self._advance(window.window_start)
        if self._per_person:
            for observation in rows.observations:
                if observation.person_id and observation.person_id not in self._forgotten:
                    self._observe(observation)
            for person in rows.people:
                self._recognise(person)
            for episode in rows.episodes:
                self._episode(episode)
        if until:
            self._advance(until)
        self._leave_and_forget()
        self._quiet = False

    def forget(self, person_id: str) -> None:
        self._forgotten.add(person_id)
        self._people.pop(person_id, None)
        for seen in self._seconds.values():
            seen.pop(person_id, None)

    def remembered(self) -> set[str]:
        return set(self._people).union(*self._seconds.values())

    def _advance(self, at: int) -> None:
        self.now = at if self.now is None else max(self.now, at)

    def _observe(self, seen: Observation) -> None:
        at = seen.captured_at
        self._advance(at)
        self._seconds.setdefault(at // SECOND, {})[seen.person_id] = seen
        known = self._people.get(seen.person_id)
        if known is None:
            known = self._people[seen.person_id] = _Known(seen.person_id, at, seen)
        elif at <= known.latest.captured_at:
            return  # looked up later than it happened, or once more
        known.latest, known.present = seen, True
        if seen.stressed != known.stressed:
            known.stressed = seen.stressed
            self._about(known, at, "stress_began" if seen.stressed else "stress_ended")

    def _recognise(self, person: Person) -> None:
        known = self._people.get(person.person_id)
        if known is None:
            return
        known.since = min(known.since, person.first_seen)
        if person.observations <= self._min_hits and not known.announced:
            known.announced = True
            self._about(known, person.first_seen, "person_appeared")

    def _episode(self, episode: StressEpisode) -> None:
        if known := self._people.get(episode.person_id):
            known.episodes[episode.started_at] = episode

    def _dead_letter(self, letter: DeadLetter) -> None:
        self.failed += 1
        self._advance(letter.captured_at)
        self._tell(
            letter.captured_at, "dead_letter", None, f"frame {letter.seq} lost in {letter.stage}: {letter.reason}"
        )

    def _leave_and_forget(self) -> None:
        now = self.now or 0
        for known in self._people.values():
            if known.present and known.latest.captured_at < now - self._lost_after:
                self._left(known)
        if now // SECOND == self._swept:
            return
        self._swept = now // SECOND
        horizon = now - self._memory
        for kept in (self._seconds, self._windows):
            for second in [second for second in kept if second < horizon // SECOND]:
                del kept[second]
        gone = [name for name, known in self._people.items() if known.latest.captured_at < horizon]
        for name in gone:
            del self._people[name]

    def _left(self, known: _Known) -> None:
        known.present = False
        if known.stressed:
            known.stressed = False
            self._about(known, known.latest.captured_at, "stress_ended")
        self._about(known, known.latest.captured_at, "person_left")

    def _empty(self, at: int | None) -> None:
        for known in self._people.values():
            if known.present:
                self._left(known)

    def _about(self, known: _Known, at: int, kind: str) -> None:
        if self._quiet:
            return
        words = {
            "person_appeared": "appeared", "person_left": "left",
            "stress_began": "became stressed", "stress_ended": "is calm again",
        }  # fmt: skip
        self._tell(at, kind, known.person_id, f"person {short_name(known.person_id)} {words[kind]}")

    # out

    @property
    def running(self) -> bool:
        return self.run is None or self.run.status == "running"

    def camera(self) -> CameraNow:
        present = [known.latest for known in self._people.values() if known.present]
        mean, stress, people = _mean(present), _stress(present), len(present)
        if not self._per_person and self._windows and self.running:
            window = self._windows[max(self._windows)]
            mean, stress, people = window.mean, window.stress_mean, window.people
        return CameraNow(
            camera_id=self.camera_id, run_id=self.run.run_id if self.run else None,
            live=self.run.live if self.run else False, status=self.run.status if self.run else "running",
            people=people, dominant=None if mean is None else EMOTIONS[mean.index(max(mean))], mean=mean,
            stress=stress, last_seen=self.now, dropped=self.dropped, failed=self.failed,
        )  # fmt: skip

    def people(self, *, present: bool = True) -> list[PersonNow]:
        """Who is here; else also who was here in the last minutes. In the order of their appearance."""
        return [_person(known) for known in self._people.values() if known.present or not present]

    def is_present(self, person_id: str) -> bool:
        known = self._people.get(person_id)
        return known is not None and known.present

    def episodes(self, person_id: str) -> list[StressEpisode]:
        """The episodes of the last minutes that are over, in the order of time."""
        known = self._people.get(person_id)
        return sorted(known.episodes.values(), key=lambda episode: episode.started_at) if known else []

    def trace(self, person_id: str | None, points: int) -> Trace:
        """The last minutes of one person, or of the camera, at most so many points."""
        if not self._per_person:
            return self._window_trace()
        if self.now is None or not self._seconds:
            return Trace(at=[], mean=[], stress=[])
        last = self.now // SECOND
        first = max(last - KEEP, min(self._seconds))
        step = -(-(last - first + 1) // points)
        starts = range(first - first % step, last + 1, step)
        means: list[Seven | None] = []
        stresses: list[float | None] = []
        for start in starts:
            seen = self._seen(range(start, start + step), person_id)
            means.append(_mean(seen))
            stresses.append(_stress(seen))
        return Trace(at=[start * 1000 for start in starts], mean=means, stress=stresses)

    def _seen(self, seconds: range, person_id: str | None) -> list[Observation]:
        found: Mapping[str, Observation]
        seen: list[Observation] = []
        for second in seconds:
            found = self._seconds.get(second, {})
            if person_id is None:
                seen.extend(found.values())
            elif person_id in found:
                seen.append(found[person_id])
        return seen

    def _window_trace(self) -> Trace:
        windows = [self._windows[start] for start in sorted(self._windows)]
        return Trace(
            at=[window.window_start // 1_000_000 for window in windows],
            mean=[window.mean for window in windows],
            stress=[window.stress_mean for window in windows],
        )


def _person(known: _Known) -> PersonNow:
    seen = known.latest
    return PersonNow(
        person_id=known.person_id, camera_id=seen.camera_id, since=known.since, last_seen=seen.captured_at,
        dominant=seen.dominant, smoothed=seen.smoothed, stress=seen.stress, stressed=known.stressed,
    )  # fmt: skip


def _mean(seen: list[Observation]) -> Seven | None:
    if not seen:
        return None
    sums = [sum(column) / len(seen) for column in zip(*(row.smoothed for row in seen), strict=True)]
    return (sums[0], sums[1], sums[2], sums[3], sums[4], sums[5], sums[6])


def _stress(seen: list[Observation]) -> float | None:
    return sum(row.stress for row in seen) / len(seen) if seen else None
