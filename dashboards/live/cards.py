"""One camera on the page: its picture, how things are now, its people, its last minutes."""

from collections.abc import Callable
from typing import Final

from nicegui import ui

from contracts.settings import Settings
from dashboards.live.charts import Chart
from dashboards.live.lists import People
from dashboards.live.now import CameraNow, PersonNow, Trace
from dashboards.live.parts import Meter, heading, percent, recolour, swatch

STATES: Final = {
    "finished": "ended", "interrupted": "stopped", "lost": "lost, is tried again", "failed": "failed",
}  # fmt: skip


class CameraCard:
    """A camera; brought up to date by `show`."""

    def __init__(self, camera_id: str, settings: Settings, opened: Callable[[str, str], None], *, dark: bool) -> None:
        """`opened` is called with camera and person."""
        self.camera_id: Final = camera_id
        self._per_person: Final = not settings.privacy.aggregate
        self._opened: Final = opened
        self._why: ui.label | None = None
        self.element: Final = ui.element("section").classes("card")
        self.element.props["aria-label"] = f"Camera {camera_id}"
        self.element.props["data-card"] = camera_id
        with self.element:
            with ui.element("div").classes("head"):
                heading(camera_id)
                self._state: Final = ui.label().classes("chip")
                self._lost: Final = ui.label().classes("chip bad")
                self._count: Final = ui.label().classes("count")
            with ui.element("div").classes("wide"):
                self._screen(settings)
                self._figures()
                self.chart: Final = Chart(settings.aggregator, dark=dark)

    def _figures(self) -> None:
        with ui.element("div").classes("now"):
            with ui.element("div").classes("what"):
                self._swatch = swatch(None)
                self._feels = ui.label()
            with ui.element("div").classes("what"):
                ui.label("stress").classes("dim")
                self._meter = Meter()
                self._stress = ui.label()
        if self._per_person:
            self._people = People(lambda person_id: self._opened(self.camera_id, person_id))

    def _screen(self, settings: Settings) -> None:
        with ui.element("div").classes("screen"):
            if settings.privacy.show_pictures:
                self._why = ui.label().classes("why")
                image = ui.element("img")
                image.props["data-camera"] = self.camera_id
                image.props["alt"] = f"What {self.camera_id} sees, with boxes around faces"
            elif self._per_person:
                ui.label("Pictures are switched off (privacy.pictures).").classes("why")
            else:
                ui.label("Only statistics of the whole camera are kept (privacy.level aggregate): no pictures, no people.").classes("why")  # fmt: skip  # noqa: E501

    def show(self, now: CameraNow, people: list[PersonNow], present: set[str], trace: Trace) -> None:
        """Brings it up to date; `people` are those of the last minutes, of whom `present` are here."""
        running = now.status == "running"
        self._state.set_text(("live" if now.live else "recording") if running else STATES.get(now.status, now.status))
        self._state.classes(
            add="good" if running else "bad" if now.status in {"lost", "failed"} else "",
            remove="" if running else "good",
        )
        if self._why is not None:
            self._why.set_text(
                "The picture comes with the next frames." if running else "It is over; no picture is kept."
            )
        self._lost.set_text(_losses(now))
        self._lost.set_visibility(bool(now.failed or now.dropped))
        self._count.set_text(_count(now.people))
        self._feels.set_text(_feels(now))
        recolour(self._swatch, now.dominant)
        stressed = any(person.stressed for person in people if person.person_id in present)
        self._meter.show(now.stress, stressed=stressed)
        self._stress.set_text(percent(now.stress))
        if self._per_person:
            self._people.show(people, present)
        self.chart.show(
            trace, f"Emotions and stress of the last minutes. Now: {_feels(now)}, stress {percent(now.stress)}"
        )


def _count(people: int) -> str:
    return {0: "nobody now", 1: "1 person now"}.get(people, f"{people} people now")


def _feels(now: CameraNow) -> str:
    if now.mean is None or now.dominant is None:
        return "nobody to be seen"
    return f"{now.dominant} {percent(max(now.mean))}"


def _losses(now: CameraNow) -> str:
    parts = [f"{now.dropped:,} frames skipped"] if now.dropped else []
    return ", ".join(parts + ([f"{now.failed:,} frames lost"] if now.failed else []))
