"""What the hub says of what it is told: plain values in, what happens now out."""

import asyncio
import threading
from collections.abc import Sequence

import cv2
import numpy as np
import pytest
from msgspec.structs import replace

from aggregator import Aggregator
from contracts.emotions import EMOTIONS
from contracts.messages import FrameEmotions, FrameId, Picture
from contracts.rows import DeadLetter, Rows, Run
from contracts.settings import Settings
from dashboards.live import pictures
from dashboards.live.hub import Hub, LiveEvent
from tests.aggregator.scenes import SECOND, START, Face, Scene, ended, film, shows

CALM = shows(happy=0.9)
UPSET = shows(angry=0.9)
RUN = Run(
    run_id="run", camera_id="door", source="door.mp4", live=True, width=640, height=480, started_at=START,
    detector="haar", model="default",
)  # fmt: skip


def one(x: float, emotions: dict[str, float]) -> Face:
    return (x, 100.0, 60.0, emotions)


def hub_of(**settings: object) -> Hub:
    return Hub(Settings.model_validate(settings))


def play(hub: Hub, scene: Scene, seconds: float, settings: Settings | None = None, *, end: bool = False) -> None:
    """What `affectstream run` would tell the hub."""
    settings = settings or Settings()
    aggregator = Aggregator("door", settings.aggregator, settings.privacy)
    frames = film(scene, seconds)
    hub.started(RUN)
    for frame in frames:
        hub.rows(aggregator.add(frame), frame)
    if end:
        over = ended(frames)
        hub.rows(aggregator.finish(over))
        hub.ended(_closed(over.ended_at))


def _closed(at: int) -> Run:
    return Run(
        run_id="run", camera_id="door", source="door.mp4", live=True, width=640, height=480, started_at=START,
        ended_at=at, status="finished", detector="haar", model="default",
    )  # fmt: skip


def _plain(event: LiveEvent) -> LiveEvent:
    return replace(event, id=0)


def kinds(hub: Hub) -> list[str]:
    return [event.kind for event in hub.events()]


def coming_and_going(seconds: float) -> Sequence[Face]:
    """Somebody calm all the time; from second 2 to second 8 somebody upset."""
    return [one(100, CALM), *([one(400, UPSET)] if 2 <= seconds < 8 else [])]


def test_a_camera_is_what_its_people_are() -> None:
    hub = hub_of()
    play(hub, lambda seconds: [one(100, CALM), one(400, UPSET)], 3)
    (camera,) = hub.cameras()
    assert (camera.camera_id, camera.run_id, camera.live, camera.status) == ("door", "run", True, "running")
    assert camera.people == 2
    assert camera.last_seen == START + round(2.96 * SECOND)
    assert camera.mean is not None
    assert camera.stress is not None
    people = hub.people("door")
    assert camera.stress == pytest.approx(sum(person.stress for person in people) / 2)
    assert [person.dominant for person in people] == ["happy", "angry"]
    assert people[1].stress > people[0].stress
    assert people[0].since == START


def test_people_come_and_go_as_the_aggregator_has_it() -> None:
    hub = hub_of()
    play(hub, coming_and_going, 12)
    assert [person.person_id for person in hub.people("door")] == ["run.1"]
    assert [person.person_id for person in hub.recent_people("door")] == ["run.1", "run.2"]
    assert hub.is_present("door", "run.1")
    assert not hub.is_present("door", "run.2")
    assert kinds(hub) == [
        "run_started", "person_appeared", "person_appeared", "stress_began", "stress_ended", "person_left",
    ]  # fmt: skip
    began, over = (event.at for event in hub.events() if event.kind in {"stress_began", "stress_ended"})
    assert START + 4 * SECOND <= began < over <= START + 8 * SECOND
    (episode,) = hub.episodes("door", "run.2")
    assert episode.started_at == began
    assert hub.episodes("door", "run.1") == []


def test_somebody_who_is_missed_for_a_moment_has_not_left() -> None:
    hub = hub_of()
    play(hub, lambda seconds: [] if 3 <= seconds < 3.8 else [one(100, CALM)], 6)
    assert "person_left" not in kinds(hub)
    assert len(hub.people("door")) == 1


def test_the_end_of_a_run_is_the_end_of_what_is_now() -> None:
    hub = hub_of()
    play(hub, coming_and_going, 5, end=True)
    assert hub.people("door") == []
    (camera,) = hub.cameras()
    assert (camera.status, camera.people, camera.mean) == ("finished", 0, None)
    assert kinds(hub)[-4:] == ["person_left", "stress_ended", "person_left", "run_ended"]
    assert [person.person_id for person in hub.recent_people("door")] == ["run.1", "run.2"]


def test_what_it_says_does_not_depend_on_when_it_is_asked() -> None:
    asked, unasked = hub_of(), hub_of()
    settings = Settings()
    aggregators = [Aggregator("door", settings.aggregator, settings.privacy) for _ in range(2)]
    for hub in (asked, unasked):
        hub.started(RUN)
    for frame in film(coming_and_going, 12):
        asked.rows(aggregators[0].add(frame), frame)
        unasked.rows(aggregators[1].add(frame), frame)
        asked.cameras()
    assert asked.cameras() == unasked.cameras()
    assert [_plain(event) for event in asked.events()] == [_plain(event) for event in unasked.events()]
    assert asked.trace("door") == unasked.trace("door")


def test_frames_that_overtook_each_other_bring_the_same_news() -> None:
    hub, overtaken = hub_of(), hub_of()
    play(hub, coming_and_going, 12)
    settings = Settings()
    aggregator = Aggregator("door", settings.aggregator, settings.privacy)
    overtaken.started(RUN)
    frames = film(coming_and_going, 12)
    for four in (frames[start : start + 4] for start in range(0, len(frames), 4)):
        for frame in reversed(four):
            overtaken.rows(aggregator.add(frame), frame)
    assert sorted(kinds(overtaken)) == sorted(kinds(hub))


def test_nothing_is_worked_out_before_somebody_asks() -> None:
    hub = hub_of()
    play(hub, coming_and_going, 5)
    assert hub._cameras == {}
    assert not hub.watched
    hub.cameras()
    assert hub.watched


def test_only_the_last_minutes_are_kept_whether_somebody_asks_or_not() -> None:
    def scene(seconds: float) -> Sequence[Face]:
        return [one(100, CALM)] if seconds < 10 or seconds > 340 else []

    hub = hub_of()
    settings = Settings()
    aggregator = Aggregator("door", settings.aggregator, settings.privacy)
    hub.started(RUN)
    for frame in film(scene, 400, fps=5):
        hub.rows(aggregator.add(frame), frame)
    assert len(hub._waiting["door"]) <= 301 * 5
    assert hub.cameras()[0].run_id == "run", "the run is older than what is kept, and known"
    assert len(hub.recent_people("door")) == 1
    trace = hub.trace("door")
    assert trace.at[-1] - trace.at[0] <= 300_000
    assert len(trace.at) <= 150


def test_a_trace_has_gaps_where_nobody_was() -> None:
    hub = hub_of()
    play(hub, lambda seconds: [] if 4 <= seconds < 9 else [one(100, CALM)], 12)
    trace = hub.trace("door")
    assert len(trace.at) == 12
    assert [mean is None for mean in trace.mean] == [4 < second < 9 or second == 4 for second in range(12)]
    mean = trace.mean[3]
    assert mean is not None
    assert EMOTIONS[mean.index(max(mean))] == "happy"
    own = hub.trace("door", "run.1", points=6)
    assert len(own.at) == 6 or len(own.at) == 7


def test_events_are_counted_up_and_can_be_followed() -> None:
    async def first(hub: Hub, count: int, after: int) -> list[int]:
        found: list[int] = []
        async for event in hub.follow(after):
            found.append(event.id)
            if len(found) == count:
                break
        return found

    hub = hub_of()
    play(hub, coming_and_going, 12)
    ids = [event.id for event in hub.events()]
    assert ids == list(range(ids[0], ids[0] + 6))
    assert [event.id for event in hub.events(ids[3])] == ids[4:]
    assert asyncio.run(first(hub, 3, ids[1])) == ids[2:5]
    later = threading.Timer(0.1, lambda: hub.ended(_closed(START + 12 * SECOND)))
    later.start()
    assert asyncio.run(first(hub, 2, ids[-1])) == [ids[-1] + 1, ids[-1] + 2]
    later.join()


def test_dead_letters_are_counted_and_told() -> None:
    hub = hub_of()
    hub.started(RUN)
    letter = DeadLetter(camera_id="door", run_id="run", seq=3, captured_at=START, stage="detect", reason="torn")
    hub.rows(Rows(dead_letters=[letter]))
    assert hub.cameras()[0].failed == 1
    assert hub.events()[-1].text == "frame 3 lost in detect: torn"


def test_rows_of_several_cameras_may_come_together() -> None:
    rows = Rows()
    for camera_id in ("door", "hall"):
        aggregator = Aggregator(camera_id, Settings().aggregator, Settings().privacy)
        for frame in film(lambda seconds: [one(100, CALM)], 2):
            theirs = FrameEmotions(
                camera_id=camera_id, run_id=camera_id, seq=frame.seq, captured_at=frame.captured_at,
                boxes=frame.boxes, scores=frame.scores, probabilities=frame.probabilities,
            )  # fmt: skip
            rows.extend(aggregator.add(theirs))
    hub = hub_of()
    hub.rows(rows)
    assert [(camera.camera_id, camera.people) for camera in hub.cameras()] == [("door", 1), ("hall", 1)]
    assert [person.person_id for person in hub.people("hall")] == ["hall.1"]


def test_with_level_aggregate_there_are_no_people_but_figures() -> None:
    settings = Settings.model_validate({"privacy": {"level": "aggregate"}})
    hub = Hub(settings)
    play(hub, coming_and_going, 25, settings)
    (camera,) = hub.cameras()
    assert camera.people == 1
    assert camera.dominant == "happy"
    assert hub.people("door") == hub.recent_people("door") == []
    assert set(kinds(hub)) == {"run_started"}
    assert len(hub.trace("door").at) == 2, "one point for each closed window"


# pictures


def picture(seed: int = 0) -> np.ndarray:
    return np.full((480, 640, 3), seed, np.uint8)


def show(hub: Hub, frames: Sequence[FrameEmotions], aggregator: Aggregator, seen: Picture | None = None) -> None:
    for frame in frames:
        if hub.wants_pictures("door"):
            hub.picture("door", frame.run_id, frame.seq, frame.captured_at, picture() if seen is None else seen)
        hub.rows(aggregator.add(frame), frame)


@pytest.fixture
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "EVERY", 0.0)


@pytest.mark.usefixtures("no_pause")
def test_a_picture_is_wanted_only_while_somebody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    hub = hub_of()
    assert not hub.wants_pictures("door")
    assert hub.annotated("door") is None
    assert hub.wants_pictures("door")
    assert not hub.wants_pictures("hall")
    assert hub.looked_at() == ["door"]
    monkeypatch.setattr(pictures, "LOOKING", -1.0)
    assert not hub.wants_pictures("door")
    assert hub.looked_at() == []


def decoded(jpeg: bytes | None) -> np.ndarray:
    assert jpeg is not None
    return np.asarray(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR), np.int16)


@pytest.mark.usefixtures("no_pause")
def test_a_picture_is_shown_once_its_rows_have_come_with_the_boxes_where_the_faces_are() -> None:
    hub = hub_of()
    aggregator = Aggregator("door", Settings().aggregator, Settings().privacy)
    frames = film(lambda seconds: [one(300, CALM)], 2)
    hub.annotated("door")
    show(hub, frames[:3], aggregator)
    assert hub.annotated("door") is None, "the people of these frames may yet come"
    show(hub, frames[3:], aggregator)
    drawn = decoded(hub.annotated("door"))
    edge = drawn[70:130, 268:273].max(axis=1)  # the left side of the box
    assert (edge[:, 2] > 150).all(), "in happy's yellow"
    assert drawn[300:, :].max() < 30, "and nothing is drawn elsewhere"


@pytest.mark.usefixtures("no_pause")
def test_a_picture_without_faces_is_shown_too() -> None:
    hub = hub_of()
    aggregator = Aggregator("door", Settings().aggregator, Settings().privacy)
    hub.annotated("door")
    show(hub, film(lambda seconds: [], 1), aggregator)
    assert decoded(hub.annotated("door")).max() < 30


@pytest.mark.usefixtures("no_pause")
@pytest.mark.parametrize(("who", "there"), [("run.1", False), ("run.2", True)])
def test_a_picture_that_shows_a_forgotten_person_is_dropped(who: str, there: bool) -> None:
    hub = hub_of()
    aggregator = Aggregator("door", Settings().aggregator, Settings().privacy)
    hub.annotated("door")
    show(hub, film(lambda seconds: [one(300, CALM)], 1), aggregator)
    number, _ = hub.annotated_after("door", 0)
    hub.forget(who)
    assert (hub.annotated("door") is not None) == there
    assert (hub.annotated_after("door", number)[0] == number) == there


@pytest.mark.usefixtures("no_pause")
def test_nobody_recognises_a_forgotten_person_who_stays_before_the_camera() -> None:
    hub, aggregator = hub_of(), Aggregator("door", Settings().aggregator, Settings().privacy)
    hub.annotated("door")
    frames = film(lambda seconds: [one(100, CALM), one(400, CALM)], 2)
    checks = (np.indices((480, 640)).sum(axis=0) // 5 % 2 * 255).astype(np.uint8)
    show(hub, frames[:8], aggregator, np.dstack([checks] * 3))
    before = decoded(hub.annotated("door")).astype(int)
    hub.forget("run.1")
    show(hub, frames[8:], aggregator, np.dstack([checks] * 3))
    after = decoded(hub.annotated("door")).astype(int)
    theirs, others = (slice(80, 120), slice(80, 120)), (slice(80, 120), slice(380, 420))
    assert np.ptp(before[theirs]) > 150, "the face was there"
    assert np.ptp(after[theirs]) < 60, "and is a grey block now"
    assert abs(before[others] - after[others]).max() < 60, "the other is seen as before"
    box = after[60:140, 60:140]
    assert (box.max(axis=2) - box.min(axis=2)).max() < 60, "nothing is drawn in an emotion's colour"


@pytest.mark.usefixtures("no_pause")
def test_all_viewers_get_the_same_drawing_and_each_picture_once() -> None:
    hub = hub_of()
    aggregator = Aggregator("door", Settings().aggregator, Settings().privacy)
    hub.annotated("door")
    show(hub, film(lambda seconds: [one(300, CALM)], 1), aggregator)
    assert hub.has_picture("door", 0)
    number, jpeg = hub.annotated_after("door", 0)
    assert hub.annotated_after("door", 0) == (number, jpeg)
    assert hub.annotated("door") is jpeg
    assert not hub.has_picture("door", number)
    assert hub.annotated_after("door", number) == (number, None)


@pytest.mark.usefixtures("no_pause")
def test_what_is_kept_of_pictures_has_a_bound_also_where_no_rows_come() -> None:
    hub = hub_of()
    hub.annotated("door")
    taken = 0
    for seq in range(100):
        if hub.wants_pictures("door"):
            taken += 1
            hub.picture("door", "run", seq, START + seq, picture())
    assert taken == pictures.MOST_KEPT


@pytest.mark.usefixtures("no_pause")
def test_pictures_of_any_size_and_kind_can_be_drawn() -> None:
    hub = hub_of()
    done, jpeg = cv2.imencode(".jpg", np.zeros((3000, 4000, 3), np.uint8))
    assert done
    for size in (jpeg.tobytes(), np.zeros((24, 32, 3), np.uint8), np.zeros((2000, 64, 3), np.uint8)):
        hub = hub_of()
        hub.annotated("door")
        aggregator = Aggregator("door", Settings().aggregator, Settings().privacy)
        for frame in film(lambda seconds: [one(30, CALM)], 1):
            if not frame.seq:
                hub.picture("door", "run", 0, START, size)
            hub.rows(aggregator.add(frame), frame)
        height, width = decoded(hub.annotated("door")).shape[:2]
        assert width <= 960
        assert (height, width) in {(720, 960), (24, 32), (2000, 64)}


@pytest.mark.usefixtures("no_pause")
def test_bytes_that_are_no_picture_are_passed_over() -> None:
    hub = hub_of()
    hub.annotated("door")
    hub.picture("door", "run", 0, START, b"no picture")
    hub.rows(Rows(), FrameId(camera_id="door", run_id="run", seq=50, captured_at=START + SECOND))
    assert hub.annotated("door") is None


@pytest.mark.parametrize("privacy", [{"level": "aggregate"}, {"pictures": False}])
def test_where_pictures_are_off_none_is_wanted_taken_or_given(privacy: dict[str, object]) -> None:
    hub = hub_of(privacy=privacy)
    assert hub.annotated("door") is None
    assert not hub.wants_pictures("door")
    hub.picture("door", "run", 0, START, picture())
    assert not hub.has_picture("door", 0)
    assert hub.annotated_after("door", 0) == (0, None)
