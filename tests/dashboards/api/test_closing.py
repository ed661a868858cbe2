"""A server that closes goes quickly and leaves nothing behind, whoever still looks."""

import threading
from contextlib import ExitStack, suppress

import httpx
import pytest
from websockets.sync.client import connect

from dashboards.live import server
from dashboards.live.hub import Hub
from dashboards.live.server import LiveServer
from storage.store import Store
from tests.dashboards.api.serving import configured, watch


def test_closing_ends_all_that_is_open_and_leaves_no_thread(url: str) -> None:
    settings = configured(url)
    before = set(threading.enumerate())
    with Store(settings.storage) as store:
        hub = Hub(settings)
        watch(store, hub, settings, "door", seconds=2, ended=False)
        served = LiveServer(hub, store, settings)
        base = served.start()
        with ExitStack() as open_connections:
            client = open_connections.enter_context(httpx.Client(base_url=base))
            events = open_connections.enter_context(client.stream("GET", "/api/v1/events"))
            lines = events.iter_lines()
            assert next(lines).startswith("id: ")
            address = base.replace("http:", "ws:") + "_nicegui_ws/socket.io/?EIO=4&transport=websocket"
            websocket = open_connections.enter_context(connect(address))
            assert websocket.recv(timeout=10)
            waiting = threading.Thread(target=_ask, args=(base + "api/v1/cameras/door/picture.jpg",))
            waiting.start()
            closing = threading.Thread(target=served.close)
            closing.start()
            closing.join(20)  # how quick is told by the figures, not by a test; for ever it is not
            assert not closing.is_alive()
            with suppress(httpx.TransportError):  # cut, or at its end
                list(lines)
            waiting.join(20)
        with pytest.raises(httpx.ConnectError):
            httpx.get(base)
        served.close()  # twice is once
    left = {thread for thread in threading.enumerate() if thread not in before and thread.is_alive()}
    assert not {thread.name for thread in left if not thread.daemon}
    assert "live" not in {thread.name for thread in left}


def _ask(url: str) -> None:
    with suppress(httpx.HTTPError):
        httpx.get(url, timeout=20)


def test_the_port_is_free_again(url: str) -> None:
    settings = configured(url)
    with Store(settings.storage) as store:
        first = LiveServer(None, store, settings)
        port = httpx.URL(first.start()).port
        assert httpx.get(f"http://127.0.0.1:{port}/api/v1/health").status_code == 200
        first.close()
        again = LiveServer(None, store, configured(url, live={"port": port}))
        assert httpx.URL(again.start()).port == port
        again.close()


def test_closing_does_not_wait_for_a_sleeping_server_to_wake_by_itself(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "DATE_EVERY", 3600.0)
    settings = configured(url)
    with Store(settings.storage) as store:
        sleeping = LiveServer(None, store, settings)
        sleeping.start()
        closing = threading.Thread(target=sleeping.close, daemon=True)
        closing.start()
        closing.join(20)
        assert not closing.is_alive()


def test_a_server_that_never_started_can_be_closed(url: str) -> None:
    settings = configured(url)
    with Store(settings.storage) as store:
        LiveServer(None, store, settings).close()
