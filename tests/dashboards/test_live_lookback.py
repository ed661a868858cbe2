"""What the store knows of the last minutes, for a page that begins later than the cameras."""

import time
from collections.abc import Callable

import msgspec
import pytest

from contracts.errors import StorageAwayError
from contracts.settings import Settings
from dashboards.live import lookback
from dashboards.live.forgetting import forgetting
from dashboards.live.hub import Hub
from dashboards.live.lookback import Lookback
from storage.erasure import forget
from storage.store import Store
from tests.aggregator.scenes import SECOND, START, film, make, shows, watch
from tests.dashboards.test_live_hub import RUN
from tests.storage.conftest import new_database, postgres, postgres_url, url

__all__ = ["new_database", "postgres", "postgres_url", "url"]

HERE = [(100.0, 100.0, 60.0, shows(happy=0.9))]


@pytest.fixture
def settings(url: str) -> Settings:
    return Settings.model_validate({"storage": {"url": url}})


def remember(store: Store, settings: Settings) -> None:
    """A run of 30 seconds, of which the end is not known yet."""

    store.start_run(RUN)
    store.write(watch(film(lambda seconds: HERE, 30), make(settings.privacy.level)))


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_cameras_people_and_the_last_minutes_are_there_from_the_beginning_without_old_news(settings: Settings) -> None:
    with Store(settings.storage) as store:
        remember(store, settings)
        hub = Hub(settings)
        with Lookback(hub, store, settings):
            (camera,) = hub.cameras()
            assert (camera.camera_id, camera.status, camera.people, camera.dominant) == ("door", "running", 1, "happy")
            (person,) = hub.people("door")
            assert person.person_id == "run.1"
            assert person.since == pytest.approx(START, abs=1000)
            assert len(hub.trace("door").at) == 30
            assert [event.kind for event in hub.events()] == ["run_started"]


def test_a_run_that_ends_meanwhile_is_told(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:

    monkeypatch.setattr(lookback, "LOOK_EVERY", 0.05)
    with Store(settings.storage) as store:
        remember(store, settings)
        hub = Hub(settings)
        with Lookback(hub, store, settings):
            assert hub.cameras()[0].status == "running"
            store.finish_run(msgspec.structs.replace(RUN, ended_at=START + 30_000_000_000, status="finished"))
            until(lambda: hub.cameras()[0].status == "finished")
            assert hub.people("door") == []


def test_a_store_that_is_away_is_told_until_it_is_back(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookback, "LOOK_EVERY", 0.05)
    with Store(settings.storage) as store:
        remember(store, settings)
        hub, answer = Hub(settings), store.transact

        def away(*arguments: object, **how: object) -> None:
            raise StorageAwayError("storage.url: nobody answers")

        monkeypatch.setattr(store, "transact", away)
        with Lookback(hub, store, settings):
            assert hub.troubles == ["What is stored cannot be seen: storage.url: nobody answers"]
            assert hub.cameras() == []
            monkeypatch.setattr(store, "transact", answer)
            until(lambda: bool(hub.cameras()) and hub.troubles == [])


def test_with_level_aggregate_the_windows_are_the_past(settings: Settings) -> None:
    settings = settings.model_copy(update={"privacy": settings.privacy.model_copy(update={"level": "aggregate"})})
    with Store(settings.storage) as store:
        remember(store, settings)
        hub = Hub(settings)
        with Lookback(hub, store, settings):
            assert hub.cameras()[0].people == 1
            assert hub.recent_people("door") == []
            assert len(hub.trace("door").at) == 3, "three closed windows"


def test_where_nobody_tells_what_happens_it_is_looked_up_again_and_again(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lookback, "LOOK_EVERY", 0.05)
    gone = watch(film(lambda seconds: HERE if seconds < 60 else [], 90), make(settings.privacy.level))
    with Store(settings.storage) as store:
        remember(store, settings)
        hub = Hub(settings, stored=True)
        with Lookback(hub, store, settings):
            assert [person.person_id for person in hub.people("door")] == ["run.1"]
            store.write(gone)
            until(lambda: hub.people("door") == [])
            (person,) = hub.recent_people("door")
            assert person.last_seen == pytest.approx(START + 60 * SECOND, abs=0.1 * SECOND)
            assert hub.cameras()[0].last_seen == START + 90 * SECOND - 1
            assert [event.kind for event in hub.events()] == ["run_started"]


def test_looking_again_at_a_run_that_is_over_brings_nobody_back(settings: Settings) -> None:
    with Store(settings.storage) as store:
        remember(store, settings)
        store.finish_run(msgspec.structs.replace(RUN, ended_at=START + 30 * SECOND, status="finished"))
        hub = Hub(settings)
        for _ in range(2):
            with Lookback(hub, store, settings):
                assert hub.people("door") == []


def test_who_is_forgotten_by_another_process_is_dropped_from_the_page(settings: Settings) -> None:
    with Store(settings.storage) as store:
        remember(store, settings)
        hub = Hub(settings)
        with Lookback(hub, store, settings), forgetting(hub, store), Store(settings.storage) as other:
            hub.started(RUN)
            hub.rows(watch(film(lambda seconds: HERE, 30), make(settings.privacy.level)))
            until(lambda: any(event.person_id == "run.1" for event in hub.events()))
            assert [person.person_id for person in hub.recent_people("door")] == ["run.1"]
            forget(other, "run.1")
            until(lambda: not hub.recent_people("door"))
            until(lambda: not hub.remembered())
            assert not any(event.person_id for event in hub.events())
            assert all(stress is None for stress in hub.trace("door", "run.1").stress)


def test_looking_for_the_forgotten_does_not_count_as_looking(settings: Settings) -> None:
    with Store(settings.storage) as store:
        hub = Hub(settings)
        hub.rows(watch(film(lambda seconds: HERE, 30), make(settings.privacy.level)))
        assert hub.recent_people("door")
        assert hub.watched
        with forgetting(hub, store):
            until(lambda: not hub.watched)
        assert hub.remembered() == {"run.1"}
