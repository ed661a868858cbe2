"""The live page and the REST API, served: one FastAPI app, in a thread of its own."""

import asyncio
import errno
import socket
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

import uvicorn
from fastapi import FastAPI

from contracts.errors import AffectstreamError, SettingsError
from contracts.settings import LiveSettings, Settings
from dashboards.live.api import PATH, make_api
from dashboards.live.forgetting import forgetting
from dashboards.live.guard import PARAMETER, Guard, resolve
from storage.store import Store

if TYPE_CHECKING:
    from dashboards.live.hub import Hub

GRACE: Final = 1  # seconds that open requests have to finish in when the server closes; streams are then cut
DATE_EVERY: Final = 1.0  # seconds


def make_app(hub: "Hub | None", store: Store, settings: Settings) -> FastAPI:
    """The page at /, the API under /api/v1, and the guard before both.

    `hub` knows what happens now; None where this process watches no camera, and all comes from the store.
    Raises SettingsError where others could reach `settings.live.address` and there is no token.
    """
    from dashboards.live import page  # brings NiceGUI along

    resolve(settings.live)
    app = FastAPI(title="affectstream", openapi_url=None)
    app.mount(PATH, make_api(hub, store, settings))
    page.mount(app, hub, store, settings)
    app.add_middleware(Guard, settings=settings.live)  # last, which is outermost
    return app


class _Server(uvicorn.Server):
    """Sleeps while nobody asks for anything; uvicorn's own wakes ten times a second to see whether it is to end."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._ending: Final = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    async def main_loop(self) -> None:
        self._loop = asyncio.get_running_loop()
        while not await self.on_tick(0):  # brings the Date of the answers up to date
            with suppress(TimeoutError):
                await asyncio.wait_for(self._ending.wait(), DATE_EVERY)

    def end(self) -> None:
        """From any thread, also repeatedly."""
        self.should_exit = True
        if self._loop is not None:
            with suppress(RuntimeError):  # the loop is closed already
                self._loop.call_soon_threadsafe(self._ending.set)


class LiveServer:
    """Serves the app from a thread of its own. The caller closes hub and store, after this."""

    def __init__(self, hub: "Hub | None", store: Store, settings: Settings) -> None:
        """Raises SettingsError where others could reach `settings.live.address` and there is no token."""
        self._settings: Final = settings.live
        # Signals stay with the main thread. Errors of ours are logged by the guard, in one line.
        self._server: Final = _Server(
            uvicorn.Config(
                make_app(hub, store, settings),
                log_config=None,
                log_level="critical",
                access_log=False,
                server_header=False,
                lifespan="on",
                ws_per_message_deflate=False,  # JPEG does not get smaller, and trying costs as much as drawing it
                timeout_graceful_shutdown=GRACE,
            )
        )
        self._thread: threading.Thread | None = None
        self._forgetting: Final = forgetting(hub, store) if hub is not None else None

    def start(self) -> str:
        """Binds, serves in a thread and returns the URL, with ?token=… where there is one.

        Raises SettingsError where the address or the port cannot be had.
        """
        listener = _bind(self._settings)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [listener]}, name="live", daemon=True
        )
        self._thread.start()
        while not self._server.started:
            if not self._thread.is_alive():
                listener.close()
                raise AffectstreamError("the live page did not start; affectstream --debug … shows why")
            time.sleep(0.01)
        if self._forgetting is not None:
            self._forgetting.start()
        return _url(self._settings, listener.getsockname()[1])

    def close(self) -> None:
        """Ends within a second or two, also where somebody still looks. May be called repeatedly."""
        if self._forgetting is not None:
            self._forgetting.close()
        self._server.end()
        if self._thread is not None:
            self._thread.join()


def _bind(settings: LiveSettings) -> socket.socket:
    family, address = resolve(settings)
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, settings.port))
        listener.listen()
    except OSError as error:
        listener.close()
        raise SettingsError(_refusal(settings, error)) from None
    return listener


def _refusal(settings: LiveSettings, error: OSError) -> str:
    match error.errno:
        case errno.EADDRINUSE:
            return (
                f"port {settings.port} of {settings.address} is taken; set live.port to another, or to 0 for a free one"
            )
        case errno.EADDRNOTAVAIL:
            return (
                f"live.address {settings.address!r} is no address of this machine; 127.0.0.1 is for this machine alone"
            )
        case errno.EACCES:
            return f"live.port {settings.port} is reserved by the system; take one above 1023"
        case _:
            return f"the live page cannot be served at {settings.address} port {settings.port}: {error.strerror}"


def _url(settings: LiveSettings, port: int) -> str:
    """Where a browser finds it. `0.0.0.0` is no place to go to: it is this machine, by its name."""
    family, address = resolve(settings)
    if address in {"0.0.0.0", "::"}:  # noqa: S104
        name = socket.gethostname()
    else:
        name = f"[{address}]" if family == socket.AF_INET6 else settings.address
    query = f"?{urlencode({PARAMETER: settings.token})}" if settings.token is not None else ""
    return f"http://{name}:{port}/{query}"
