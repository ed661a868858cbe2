"""One person's own view: how they are, their last minutes, their stress episodes."""

from collections.abc import Callable
from datetime import UTC, tzinfo
from typing import Final

from nicegui import ui

from contracts.emotions import COLOURS, EMOTIONS
from contracts.settings import Settings
from dashboards.live.charts import Chart
from dashboards.live.hub import Hub
from dashboards.live.now import PersonNow, short_name
from dashboards.live.parts import Meter, clock, heading, length, percent


class PersonView:
    """A dialog over the page; Escape closes it."""

    def __init__(
        self, hub: Hub, settings: Settings, camera_id: str, person_id: str, closed: Callable[[], None],
        *, zone: tzinfo = UTC, dark: bool,
    ) -> None:  # fmt: skip
        """Opens it."""
        self._hub: Final = hub
        self._camera_id: Final = camera_id
        self._person_id: Final = person_id
        self._zone: Final = zone
        self._shown_episodes: list[tuple[str, ...]] | None = None
        with ui.dialog().on("hide", closed) as self._dialog, ui.element("div").classes("person-view") as view:
            name = f"Person {short_name(person_id)}"
            view.props["aria-label"] = f"{name} at {camera_id}"
            view.props["role"] = "document"
            with ui.element("div").classes("head"):
                heading(name)
                self._state: Final = ui.label().classes("chip")
                ui.label(f"at {camera_id}").classes("dim")
                with (
                    ui.element("button")
                    .classes("round close")
                    .props('type=button autofocus aria-label="Close"') as button
                ):
                    ui.label("Close")
                button.on("click", self._dialog.close)
            self._when: Final = ui.label().classes("dim")
            with ui.element("div").classes("shares"):
                self._bars: Final = [self._bar(emotion) for emotion in EMOTIONS]
                ui.label("stress")
                self._stress_meter: Final = Meter()
                self._stress: Final = ui.label().classes("figure")
            self.chart: Final = Chart(settings.aggregator, dark=dark)
            heading("Stress episodes", 3)
            self._episodes: Final = ui.element("div")
        self.update()
        self._dialog.open()

    def _bar(self, emotion: str) -> tuple[ui.element, ui.label]:
        ui.label(emotion)
        with ui.element("div").props("aria-hidden=true"):
            bar = ui.element("div").classes("bar").style(f"background: {COLOURS[emotion]}; width: 0%")
        return bar, ui.label().classes("figure")

    def delete(self) -> None:
        """Takes it away."""
        self._dialog.delete()

    def update(self) -> None:
        """Brings it up to date."""
        person = next(
            (one for one in self._hub.recent_people(self._camera_id) if one.person_id == self._person_id), None
        )
        if person is None:
            self._state.set_text("not seen in the last minutes")
            return
        self._show(person, here=self._hub.is_present(self._camera_id, self._person_id))
        trace = self._hub.trace(self._camera_id, self._person_id)
        self.chart.show(trace, f"Emotions and stress of the last minutes. Now: {person.dominant}")
        self._show_episodes()

    def _show(self, person: PersonNow, *, here: bool) -> None:
        self._state.set_text("here now" if here else "has left")
        self._state.classes(add="good" if here else "", remove="" if here else "good")
        seconds = (person.last_seen - person.since) / 1e9
        until = "" if here else f" until {clock(person.last_seen, self._zone)}"
        self._when.set_text(f"since {clock(person.since, self._zone)}{until}, {length(seconds)}")
        for share, (bar, figure) in zip(person.smoothed, self._bars, strict=True):
            bar.style(f"width: {share * 100:.0f}%")
            figure.set_text(percent(share))
        self._stress_meter.show(person.stress, stressed=person.stressed)
        self._stress.set_text(percent(person.stress))

    def _show_episodes(self) -> None:
        rows: list[tuple[str, ...]] = [
            (
                clock(episode.started_at, self._zone), length((episode.ended_at - episode.started_at) / 1e9),
                percent(episode.stress_mean), percent(episode.stress_max),
            )
            for episode in self._hub.episodes(self._camera_id, self._person_id)
        ]  # fmt: skip
        if rows == self._shown_episodes:
            return
        self._shown_episodes = rows
        self._episodes.clear()
        with self._episodes:
            if not rows:
                ui.label("None in the last minutes.").classes("dim")
                return
            with ui.element("table").classes("episodes"):
                with ui.element("tr"):
                    for title in ("began", "lasted", "mean", "highest"):
                        _cell("th", title)
                for row in rows:
                    with ui.element("tr"):
                        for text in row:
                            _cell("td", text)


def _cell(kind: str, text: str) -> None:
    with ui.element(kind):
        ui.label(text)
