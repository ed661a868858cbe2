"""Small parts of the page that appear in more than one place."""

from datetime import datetime, tzinfo

from nicegui import ui
from nicegui.element import Element

from contracts.emotions import COLOURS


def heading(text: str, level: int = 2) -> ui.label:
    """A heading, for the eyes and for screen readers."""
    return ui.label(text).props(f"role=heading aria-level={level}").classes("title")


def swatch(emotion: str | None) -> Element:
    """A small square in the emotion's colour."""
    return ui.element("span").classes("swatch").style(_background(emotion)).props("aria-hidden=true")


def recolour(element: Element, emotion: str | None) -> None:
    """Makes a swatch another emotion's."""
    element.style(_background(emotion))


def _background(emotion: str | None) -> str:
    return f"background: {COLOURS[emotion] if emotion else 'transparent'}"


class Meter:
    """The stress score as a bar."""

    def __init__(self) -> None:
        self._outer = ui.element("div").classes("meter").props("aria-hidden=true")
        with self._outer:
            self._inner = ui.element("div").style("width: 0%")
        self._shown: tuple[str, bool] = ("0%", False)

    def show(self, stress: float | None, *, stressed: bool) -> None:
        """`stress` from 0 to 1, None where there is nobody."""
        shown = (percent(stress or 0.0).replace(" ", ""), stressed)
        if shown == self._shown:
            return
        self._shown = shown
        self._inner.style(f"width: {shown[0]}")
        self._outer.classes(add="stressed" if stressed else "", remove="" if stressed else "stressed")


def percent(share: float | None) -> str:
    """A share for people."""
    return "–" if share is None else f"{share * 100:.0f} %"


def clock(at: int, zone: tzinfo) -> str:
    """An event time (UTC ns) as the time of day where the viewer is."""
    return f"{datetime.fromtimestamp(at / 1e9, zone):%H:%M:%S}"


def length(seconds: float) -> str:
    """A length of time for people: 9 s, 4:05, 1:02:03."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
