"""A real server on a free port, and a small scene for it to tell of."""

from collections.abc import Iterator
from contextlib import contextmanager
from math import sin
from typing import Any, Final, Literal

import httpx
import msgspec
import numpy as np

from contracts.messages import FrameEmotions, RunEnded, RunStarted
from contracts.settings import Settings
from dashboards.live.hub import Hub
from dashboards.live.server import LiveServer
from pipeline.meter import Meter
from pipeline.sink import Sink
from storage.store import Store
from tests.aggregator.scenes import SECOND, START, Face, film, shows

TOKEN: Final = "0123456789abcdef-secret"
FPS: Final = 5
SIZE: Final = (240, 320, 3)


def scene(seconds: float) -> list[Face]:
    """Two people; one is angry for 8 of every 16 seconds, the other happy."""
    angry = 0.9 if seconds % 16 < 8 else 0.05
    return [(100 + 5 * sin(seconds), 100, 60, shows(angry=angry)), (220, 110, 60, shows(happy=0.8))]


class Looking(msgspec.Struct, frozen=True):
    """A server, what it looks at, and a client of it; the client's paths begin after /api/v1."""

    url: str
    hub: Hub | None
    store: Store
    settings: Settings
    client: httpx.Client

    def get(self, path: str, **parameters: Any) -> Any:
        """What a request that must go well answers."""
        answer = self.client.get(path, params=parameters)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def watch(self, camera_id: str = "door", *, seconds: float = 40, ended: bool = True, first: int = 0) -> str:
        """A run of the scene, from camera to database and hub, `first` seconds after START; gives its run_id."""
        return watch(self.store, self.hub, self.settings, camera_id, seconds=seconds, ended=ended, first=first)


def watch(
    store: Store, hub: Hub | None, settings: Settings, camera_id: str, *, seconds: float, ended: bool, first: int = 0
) -> str:
    run_id = f"{camera_id}-{first}"
    sink = Sink(store, settings, Meter(), detector="haar", model="test", hub=hub)
    sink.begin(
        RunStarted(
            camera_id=camera_id, run_id=run_id, source=f"rtsp://{camera_id}/", live=True, width=SIZE[1], height=SIZE[0],
            started_at=START + first * SECOND,
        )
    )  # fmt: skip
    frames = [_of(frame, camera_id, run_id, first) for frame in film(scene, seconds, FPS)]
    for frame in frames:
        if hub is not None and hub.wants_pictures(camera_id):
            hub.picture(camera_id, run_id, frame.seq, frame.captured_at, np.full(SIZE, 90, np.uint8))
        sink.add(frame)
    if ended:
        end = frames[-1].captured_at + SECOND // FPS
        sink.end(RunEnded(camera_id=camera_id, run_id=run_id, frames=len(frames), dropped=0, ended_at=end))
    sink.flush()
    return run_id


def _of(frame: FrameEmotions, camera_id: str, run_id: str, first: int) -> FrameEmotions:
    captured_at = frame.captured_at + first * SECOND
    return msgspec.structs.replace(frame, camera_id=camera_id, run_id=run_id, captured_at=captured_at)


def configured(url: str, **sections: dict[str, Any]) -> Settings:
    """Short windows, a free port."""
    given = {
        "storage": {"url": url},
        "aggregator": {"windows": (1, 10)},
        "live": {"port": 0} | sections.pop("live", {}),
        **sections,
    }
    return Settings.model_validate(given)


@contextmanager
def serving(settings: Settings, *, hub: Literal["told", "stored"] | None = "told") -> Iterator[Looking]:
    """Serves an empty or a filled database."""
    with Store(settings.storage) as store:
        seen = Hub(settings, stored=hub == "stored") if hub else None
        server = LiveServer(seen, store, settings)
        try:
            url = httpx.URL(server.start())
            token = settings.live.token
            headers = {} if token is None else {"Authorization": f"Bearer {token}"}
            base = url.copy_with(path="/api/v1", query=None)
            with httpx.Client(base_url=base, headers=headers, timeout=20, verify=False) as client:
                yield Looking(str(url.copy_with(query=None)), seen, store, settings, client)
        finally:
            server.close()
