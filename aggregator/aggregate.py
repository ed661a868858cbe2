"""The aggregator of one camera: takes frames in any order, gives rows as they become final."""

from typing import Final, cast

import msgspec

from aggregator import tracking
from aggregator.following import Episode, Followed, Reader
from aggregator.tracking import SECOND, Track
from aggregator.windows import CAMERA, Span, Windows, statistics
from contracts import wire
from contracts.emotions import EMOTIONS
from contracts.messages import FrameEmotions, RunEnded, Tombstone
from contracts.rows import DeadLetter, Observation, Person, Rows, Seven, StressEpisode
from contracts.settings import AggregatorSettings, PrivacySettings

BLIND: Final = 10
"""After so many tombstones in a row faces may be lost: a face cannot be missed in one, but somewhere it must end."""
REMEMBERED_RUNS: Final = 64
"""So many finished runs are remembered, to recognise what is delivered again after the end of its run."""


class Gap(msgspec.Struct, frozen=True):
    """Frames that are missing before one that is there, or before the end of their run."""

    run_id: str
    first: int
    end: int  # seq of the frame that is there, or the number of frames of the run
    since: int  # event time of the frame before …
    until: int  # … and of the one after; the same where there is only one of them, and 0 where no frame has come at all

    def __len__(self) -> int:
        return self.end - self.first

    def time_of(self, seq: int) -> int:
        """When a frame of the gap may have been captured: they are spread evenly over its time."""
        return self.since + (self.until - self.since) * (seq - self.first + 1) // (len(self) + 1)


class RunState(msgspec.Struct):
    """All that is known of a run that has not ended."""

    run_id: str
    windows: Windows
    next_seq: int = 0
    now: int = 0  # event time of the last applied frame
    looked_at: int = 0  # event time of the last one that was no tombstone
    blind: int = 0  # tombstones since
    early: dict[int, FrameEmotions | Tombstone] = {}
    faces: list[Followed] = []
    people: int = 0
    ends_at: int | None = None  # number of frames, once the end of the run is known

    def gaps(self) -> list[Gap]:
        """What is missing, in order."""
        gaps: list[Gap] = []
        first, before = self.next_seq, self.now if self.next_seq else None
        for end in sorted(seq for seq in self.early if self.ends_at is None or seq < self.ends_at):
            at = self.early[end].captured_at
            if end > first:
                gaps.append(Gap(self.run_id, first, end, at if before is None else before, at))
            first, before = end + 1, at
        if self.ends_at is not None and self.ends_at > first:
            gaps.append(Gap(self.run_id, first, self.ends_at, before or 0, before or 0))
        return gaps


class CameraState(msgspec.Struct):
    """What `Aggregator.state` saves."""

    format: int = 1
    runs: dict[str, RunState] = {}
    finished: list[str] = []
    repeated: int = 0


class Aggregator:
    """Follows the faces of one camera through time and turns them into people, stress and windows.

    Frames of a run are applied in the order of `seq`: what arrives early waits for its turn, what arrives again is
    skipped. A window is closed when no observation can come into it any more: event time has passed its end, and the
    last observation of each face in it has found its successor or the face is gone.

    Not safe for use by several threads at once.
    """

    def __init__(self, camera_id: str, settings: AggregatorSettings, privacy: PrivacySettings) -> None:
        self.camera_id: Final = camera_id
        self._settings: Final = settings
        self._aggregate_only: Final = privacy.aggregate
        self._reader: Final = Reader(settings)
        self._lost_after: Final = round(settings.lost_after * SECOND)
        self._state = CameraState()

    @property
    def repeated(self) -> int:
        """How many frames were delivered more than once, and skipped."""
        return self._state.repeated

    def add(self, frame: FrameEmotions | Tombstone) -> Rows:
        """Takes a frame in and returns the rows that became final with it."""
        rows = Rows()
        known = self._state.runs.get(frame.run_id)
        over = frame.run_id in self._state.finished or (frame.again and known is None)
        if over or (known is not None and (frame.seq < known.next_seq or frame.seq in known.early)):
            self._state.repeated += 1
            return self._permitted(self._revived(frame)) if frame.again else rows
        run = self._run(frame.run_id)
        run.early[frame.seq] = frame
        self._apply_in_order(run, rows)
        return self._permitted(rows)

    def finish(self, ended: RunEnded) -> Rows:
        """The run is over. Returns its last rows; where frames are still on their way, these come with the last one."""
        rows = Rows()
        if ended.run_id not in self._state.finished:
            run = self._run(ended.run_id)
            run.ends_at = ended.frames
            self._apply_in_order(run, rows)
        return self._permitted(rows)

    def gaps(self) -> list[Gap]:
        """What is missing before runs can go on or end, run by run and in order.

        Nobody but its caller can know whether it is still on its way. What is not: put tombstones in its place.
        """
        return [gap for run in self._state.runs.values() for gap in run.gaps()]

    def state(self) -> bytes:
        """Everything that a successor needs to go on from here."""
        return wire.encode(self._state)

    def restore(self, state: bytes) -> None:
        """Goes on from where another aggregator of this camera was. Raises msgspec.DecodeError if it is no state."""
        self._state = wire.decode(state, CameraState)

    def _permitted(self, rows: Rows) -> Rows:
        """What the privacy setting lets out of here."""
        if not self._aggregate_only:
            return rows
        whole = [row for row in rows.windows if row.person_id == CAMERA]
        return Rows(windows=whole, dead_letters=rows.dead_letters, revived=rows.revived)

    def _revived(self, frame: FrameEmotions | Tombstone) -> Rows:
        """A dead letter that came good when its run had gone on without it: its faces belong to nobody."""
        if isinstance(frame, Tombstone):
            return Rows()
        rows = Rows(revived=[(frame.run_id, frame.seq)])
        for index in range(len(frame.boxes)):
            box, probabilities = frame.boxes[index].tolist(), cast(Seven, tuple(frame.probabilities[index].tolist()))
            face = self._reader.begin(Track.begin(box, frame.captured_at), probabilities, frame.captured_at)
            rows.observations.append(self._observation(frame, index, face, frame.captured_at))
        return rows

    def _run(self, run_id: str) -> RunState:
        run = self._state.runs.get(run_id)
        if run is None:
            run = self._state.runs[run_id] = RunState(run_id, Windows(self._settings.windows))
        return run

    def _apply_in_order(self, run: RunState, rows: Rows) -> None:
        while (frame := run.early.pop(run.next_seq, None)) is not None:
            run.next_seq += 1
            # Event time does not go back within a run; a clock that was set back must not undo what was counted.
            run.now = max(run.now, frame.captured_at)
            run.windows.count_frame(run.now)
            if isinstance(frame, Tombstone):
                rows.dead_letters.append(_dead_letter(frame))
                run.blind += 1
                if run.blind > BLIND:
                    self._forget_lost(run, run.now, rows)
            else:
                self._forget_lost(run, run.looked_at, rows)
                self._apply(frame, run, rows)
                run.looked_at, run.blind = run.now, 0
            self._close_windows(run, min([run.now, *(face.settled for face in run.faces)]), rows)
        if run.ends_at is not None and run.next_seq >= run.ends_at:
            for face in run.faces:
                self._leave(face, run, rows)
            self._close_windows(run, None, rows)
            del self._state.runs[run.run_id]
            self._state.finished = [*self._state.finished, run.run_id][-REMEMBERED_RUNS:]

    def _apply(self, frame: FrameEmotions, run: RunState, rows: Rows) -> None:
        continued = tracking.assign([face.track for face in run.faces], frame.boxes, run.now)
        known = list(run.faces)
        for index, place in enumerate(continued):
            box = cast(list[float], frame.boxes[index].tolist())
            probabilities = cast(Seven, tuple(frame.probabilities[index].tolist()))
            if place is None:
                face = self._reader.begin(Track.begin(box, run.now), probabilities, run.now)
                run.faces.append(face)
            else:
                face = known[place]
                face.track.follow(box, run.now)
                span, ended = self._reader.follow(face, probabilities, run.now)
                self._credit(face, span, run)
                if ended is not None:
                    face.waiting_episodes.append(ended)
            face.waiting.append(self._observation(frame, index, face, run.now))
            if not face.person_id and face.observations >= self._settings.min_hits:
                self._recognise(face, run, rows)
            if face.person_id:
                self._release(face, run, rows)

    def _recognise(self, face: Followed, run: RunState, rows: Rows) -> None:
        """The face was seen often enough to be a person."""
        run.people += 1
        face.person_id = f"{run.run_id}.{run.people}"
        for span in face.waiting_spans:
            self._count(face, span, run)
        face.waiting_spans = []
        rows.people.append(self._person(face, run))

    def _release(self, face: Followed, run: RunState, rows: Rows) -> None:
        """What waited for its person is final. A face that never became one has had no episodes."""
        rows.observations.extend(msgspec.structs.replace(row, person_id=face.person_id) for row in face.waiting)
        if face.person_id:
            rows.episodes.extend(self._episode(face, run, episode) for episode in face.waiting_episodes)
        face.waiting, face.waiting_episodes = [], []

    def _credit(self, face: Followed, span: Span, run: RunState) -> None:
        if face.person_id:
            self._count(face, span, run)
        else:
            face.waiting_spans.append(span)

    def _count(self, face: Followed, span: Span, run: RunState) -> None:
        face.seconds += (span.end - span.start) / SECOND
        run.windows.add(face.person_id, [span])

    def _forget_lost(self, run: RunState, before: int, rows: Rows) -> None:
        """Lets the faces go that were missed in the frame `before`, and not seen for longer than the setting.

        A face must have been missed, for a slow camera may well show less than one frame in that time.
        """
        staying = []
        for face in run.faces:
            seen = face.current.start
            if seen < before and run.now - seen > self._lost_after:
                self._leave(face, run, rows)
            else:
                staying.append(face)
        run.faces = staying

    def _leave(self, face: Followed, run: RunState, rows: Rows) -> None:
        """The face is gone: its last observation stands for as long as the one before it did."""
        span = face.last_span()
        if face.person_id:
            self._count(face, span, run)
            if face.episode is not None:
                face.episode.add(span)
                face.waiting_episodes.append(face.episode)
            rows.people.append(self._person(face, run))
        self._release(face, run, rows)

    def _close_windows(self, run: RunState, settled: int | None, rows: Rows) -> None:
        """Closes what ends by `settled`, or everything if that is None."""
        closed = list(run.windows.close(settled))
        for seconds, start, window in closed:
            groups = {CAMERA: list(window.people.values()), **{who: [tally] for who, tally in window.people.items()}}
            rows.windows.extend(
                statistics(
                    seconds, start, window.frames, tallies,
                    camera_id=self.camera_id, run_id=run.run_id, person_id=person_id,
                )
                for person_id, tallies in groups.items()
            )  # fmt: skip
        if closed and settled is not None:
            rows.people.extend(self._person(face, run) for face in run.faces if face.person_id)

    def _observation(self, frame: FrameEmotions, index: int, face: Followed, now: int) -> Observation:
        x, y, width, height = frame.boxes[index].tolist()
        return Observation(
            camera_id=self.camera_id, run_id=frame.run_id, seq=frame.seq, face=index, captured_at=now, person_id="",
            x=x, y=y, width=width, height=height, score=float(frame.scores[index]),
            probabilities=face.current.probabilities, smoothed=face.smoothed, dominant=EMOTIONS[face.current.dominant],
            stress=face.stress, stressed=face.current.stressed,
        )  # fmt: skip

    def _person(self, face: Followed, run: RunState) -> Person:
        return Person(
            person_id=face.person_id, camera_id=self.camera_id, run_id=run.run_id, first_seen=face.first_seen,
            last_seen=face.current.start, observations=face.observations, seconds_observed=face.seconds,
        )  # fmt: skip

    def _episode(self, face: Followed, run: RunState, episode: Episode) -> StressEpisode:
        return StressEpisode(
            person_id=face.person_id, camera_id=self.camera_id, run_id=run.run_id,
            started_at=episode.started_at, ended_at=episode.ended_at,
            stress_mean=episode.stress_sum / episode.seconds if episode.seconds else episode.stress_max,
            stress_max=episode.stress_max,
        )  # fmt: skip


def _dead_letter(frame: Tombstone) -> DeadLetter:
    return DeadLetter(
        camera_id=frame.camera_id, run_id=frame.run_id, seq=frame.seq, captured_at=frame.captured_at,
        stage=frame.stage, reason=frame.reason,
    )  # fmt: skip
