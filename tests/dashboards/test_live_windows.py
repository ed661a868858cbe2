"""With level aggregate the live page has nothing but windows, which come when they are over, however long they are."""

from pathlib import Path

import pytest

from contracts.messages import FrameId
from contracts.rows import Rows
from contracts.settings import Settings
from dashboards.live.hub import Hub
from dashboards.live.lookback import Lookback
from storage.store import Store
from tests.aggregator.scenes import SECOND, START
from tests.dashboards.test_live_hub import RUN
from tests.storage.samples import window


def settings_of(seconds: int, url: str = "sqlite://") -> Settings:
    return Settings.model_validate(
        {"privacy": {"level": "aggregate"}, "aggregator": {"windows": [seconds]}, "storage": {"url": url}}
    )


def told(hub: Hub, first: int, until: int, length: int) -> None:
    """What workers tell: each second's rows, and the frame with which they became final."""
    for second in range(first, until):
        over = second and second % length == 0
        start = START + (second - length) * SECOND
        rows = [window(run_id="run", window_seconds=length, window_start=start)] if over else []
        hub.rows(Rows(windows=rows))
        hub.rows(Rows(), FrameId(camera_id="door", run_id="run", seq=second, captured_at=START + second * SECOND))


@pytest.mark.parametrize("length", [10, 300, 900])
@pytest.mark.parametrize("looking", [True, False])
def test_the_newest_window_is_shown_until_the_next_has_come(length: int, looking: bool) -> None:
    hub = Hub(settings_of(length))
    hub.started(RUN)
    begun = 0
    for asked in (length + 1, 2 * length - 1) if looking else (2 * length - 1,):
        told(hub, begun, asked + 1, length)
        (camera,) = hub.cameras()
        assert (camera.people, camera.dominant) == (2, "happy")
        assert hub.trace("door").at == [START // 1_000_000]
        begun = asked + 1


def test_long_after_the_newest_window_nobody_is_there() -> None:
    hub = Hub(settings_of(300))
    hub.started(RUN)
    told(hub, 0, 301, 300)
    assert hub.cameras()[0].people == 2
    hub.rows(Rows(), FrameId(camera_id="door", run_id="run", seq=999, captured_at=START + 1000 * SECOND))
    assert hub.cameras()[0].people == 0


@pytest.mark.parametrize("length", [10, 300, 900])
def test_what_is_stored_is_shown_from_the_beginning(tmp_path: Path, length: int) -> None:
    settings = settings_of(length, f"sqlite:///{tmp_path / 'test.db'}")
    with Store(settings.storage) as store:
        store.start_run(RUN)
        starts = (START, START + length * SECOND)
        store.write(Rows(windows=[window(run_id="run", window_seconds=length, window_start=at) for at in starts]))
        hub = Hub(settings)
        with Lookback(hub, store, settings):
            assert hub.cameras()[0].people == 2
            assert len(hub.trace("door").at) == 2
