"""The live page: cameras, their people, their last minutes, and what happens."""

import json
from datetime import UTC, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

from nicegui import app as nicegui_app
from nicegui import events, ui
from starlette.staticfiles import StaticFiles
from starlette.websockets import WebSocket

from contracts.emotions import EMOTIONS
from contracts.settings import Settings
from dashboards.live.cards import CameraCard
from dashboards.live.hub import Hub
from dashboards.live.lists import Events
from dashboards.live.parts import heading, swatch
from dashboards.live.person import PersonView
from dashboards.live.streaming import PictureStream

if TYPE_CHECKING:
    from fastapi import FastAPI

    from storage.store import Store

STATIC: Final = Path(__file__).parent / "static"
EVERY: Final = 1.0
"""Seconds between looks at the hub; the pictures have a way of their own."""
EMPTY: Final = (
    ("A first look, with a built-in scene:", "affectstream run demo --pace realtime --live"),
    ("The first webcam, until Ctrl-C:", "affectstream run 0 --live"),
    ("Or a camera, on the workers of many machines:", "affectstream cameras add door rtsp://…"),
)


def mount(app: "FastAPI", hub: Hub | None, store: "Store", settings: Settings) -> None:
    """Puts the page at `/` of the app, behind whatever guards the app. To be called after all other routes are there.

    One page for each process, since its library has one: a later call takes the place of an earlier one.
    """
    shown = hub or Hub(settings)

    async def pictures(socket: WebSocket) -> None:
        await PictureStream(shown, socket).run()

    app.add_api_websocket_route("/live/pictures", pictures)
    app.mount("/live/static", StaticFiles(directory=STATIC))
    nicegui_app.routes[:] = [route for route in nicegui_app.routes if getattr(route, "path", None) != "/"]
    nicegui_app.user_middleware.clear()
    nicegui_app.middleware_stack = None

    @ui.page("/", title="affectstream")
    def page(camera: str = "", person: str = "") -> None:
        Viewer(shown, settings, (camera, person)).build()

    ui.run_with(
        app, title="affectstream", favicon="🙂", dark=None, tailwind=False, show_welcome_message=False,
        binding_refresh_interval=None, message_history_length=100,
    )  # fmt: skip


class Viewer:
    """One viewer's page."""

    def __init__(self, hub: Hub, settings: Settings, opened: tuple[str, str]) -> None:
        """`opened` is the camera and the person who is looked at from the beginning, or two empty strings."""
        self._hub: Final = hub
        self._opened = opened
        self._settings: Final = settings
        self._cards: Final[dict[str, CameraCard]] = {}
        self._person: PersonView | None = None
        self._dark = False
        self._hidden = True
        self._zone: tzinfo = UTC

    def build(self) -> None:
        """Lays the page out; it is filled once the viewer has said who they are."""
        ui.add_head_html('<link rel="stylesheet" href="/live/static/live.css">')
        ui.add_body_html(
            '<script type="module">import { begin, toggleDark } from "/live/static/live.js";'
            "window.toggleDark = toggleDark; window.beginLive = begin;</script>"
        )
        ui.on("viewer", self._told)
        with ui.element("div").classes("live"):
            self._header()
            self._troubles: ui.label = ui.label().classes("trouble").props("role=alert")
            self._troubles.set_visibility(False)
            with ui.element("main").classes("main").props('id=main tabindex="-1"'):
                with ui.element("div").classes("cameras") as self._cameras:
                    self._empty = self._nothing_yet()
                with ui.element("aside").classes("side").props('aria-label="Events"'):
                    heading("What happens")
                    self._events = Events()
            ui.label("Guesses about expressions, not knowledge of feelings; the stress score is no diagnosis.").classes(
                "foot"
            )
        ui.timer(EVERY, self._update)
        ui.run_javascript("const wait = () => window.beginLive ? beginLive() : setTimeout(wait, 20); wait()")

    def _header(self) -> None:
        with ui.element("header").classes("top"):
            with ui.element("a").props('href="#main"').classes("skip"):
                ui.label("to the cameras")
            ui.label("affectstream").classes("name").props("role=heading aria-level=1")
            with ui.element("div").classes("legend").props('role=group aria-label="Colours of the emotions"'):
                for emotion in EMOTIONS:
                    with ui.element("div"):
                        swatch(emotion)
                        ui.label(emotion)
            with ui.element("button").classes("round").props('type=button aria-label="Dark or light"') as button:
                ui.label("dark / light")
            button.on("click", js_handler="() => toggleDark()")

    def _nothing_yet(self) -> ui.element:
        with ui.element("div").classes("empty") as box:
            heading("No camera yet")
            ui.label("It appears here by itself when you start one, in a terminal:")
            for why, command in EMPTY:
                ui.label(why).classes("dim")
                with ui.element("code"):
                    ui.label(command)
        return box

    def _told(self, event: events.GenericEventArguments) -> None:
        """The browser says what only it knows; from now on there is somebody to show something to."""
        told: dict[str, Any] = event.args
        dark = bool(told.get("dark"))
        self._zone = _zone(told.get("zone"))
        self._hidden = bool(told.get("hidden"))
        if dark != self._dark:
            self._dark = dark
            for card in self._cards.values():
                card.chart.recolour(dark=dark)
            if self._person is not None:
                self._person.chart.recolour(dark=dark)
        self._update()

    def _update(self) -> None:
        if self._hidden:
            return
        troubles = self._hub.troubles
        self._troubles.set_text(" · ".join(troubles))
        self._troubles.set_visibility(bool(troubles))
        cameras = self._hub.cameras()
        self._empty.set_visibility(not cameras)
        for camera in cameras:
            if (card := self._cards.get(camera.camera_id)) is None:
                with self._cameras:
                    card = self._cards[camera.camera_id] = CameraCard(
                        camera.camera_id, self._settings, self._open, dark=self._dark
                    )
            people = self._hub.recent_people(camera.camera_id)
            present = {person.person_id for person in self._hub.people(camera.camera_id)}
            card.show(camera, people, present, self._hub.trace(camera.camera_id))
        if self._opened != ("", ""):
            self._opened, opened = ("", ""), self._opened
            self._open(*opened)
        elif self._person is not None:
            self._person.update()
        self._events.show(self._hub.events(), self._zone)

    def _open(self, camera_id: str, person_id: str) -> None:
        if self._person is not None:
            self._person.delete()
        self._person = PersonView(
            self._hub, self._settings, camera_id, person_id, self._closed, zone=self._zone, dark=self._dark
        )
        _remember({"camera": camera_id, "person": person_id})

    def _closed(self) -> None:
        _remember({})


def _remember(opened: dict[str, str]) -> None:
    """Keeps in the address who is looked at, so that it is the same after a reload."""
    query = f'"?" + new URLSearchParams({json.dumps(opened)})' if opened else '"/"'
    ui.run_javascript(f"history.replaceState(null, '', {query})")


def _zone(name: object) -> tzinfo:
    try:
        return ZoneInfo(str(name))
    except (ValueError, OSError, KeyError):
        return UTC
