"""The chart of the last minutes: emotion shares above, stress below, for a camera or for a person."""

from typing import Any, Final

from nicegui import ui

from contracts.emotions import COLOURS, EMOTIONS
from contracts.settings import AggregatorSettings
from dashboards.live.now import Trace

ORDER: Final = ("neutral", *(emotion for emotion in EMOTIONS if emotion != "neutral"))
"""From below: what is there most of the time lies at the bottom."""
STRESS: Final = {False: "#c5221f", True: "#ff8a80"}  # light, dark
QUIET: Final = {False: "#565d68", True: "#a5acb8"}
LINES: Final = {False: "#dde1e7", True: "#2d323a"}


class Chart:
    """One chart; brought up to date by `show`."""

    def __init__(self, settings: AggregatorSettings, *, dark: bool) -> None:
        self._threshold: Final = settings.stress_on
        self._shown: Trace | None = None
        with ui.element("div").classes("last").props("role=img") as self._frame:
            self._chart: Final = ui.echart(self._options(dark=dark)).classes("chart")

    def recolour(self, *, dark: bool) -> None:
        """For a dark page, or a light one."""
        self._chart.run_chart_method("setOption", self._colours(dark=dark))

    def show(self, trace: Trace, what: str) -> None:
        """Shows the trace; `what` is said to those who cannot see it."""
        if trace == self._shown:
            return
        first, self._shown = self._shown is None, trace
        source: dict[str, list[Any]] = {"at": trace.at}
        for number, emotion in enumerate(EMOTIONS):
            source[emotion] = [None if mean is None else round(mean[number], 3) for mean in trace.mean]
        source["stress"] = [None if stress is None else round(stress, 3) for stress in trace.stress]
        self._frame.props["aria-label"] = what
        if first:  # the browser may not have made the chart yet
            self._chart.options["dataset"] = {"source": source}
        else:
            self._chart.run_chart_method("setOption", {"dataset": {"source": source}})

    def _options(self, *, dark: bool) -> dict[str, Any]:
        options: dict[str, Any] = {
            "animation": False,
            "useUTC": False,
            "textStyle": {"fontFamily": "system-ui, Roboto, sans-serif"},
            "tooltip": {
                "trigger": "axis", "confine": True, "order": "valueDesc", "textStyle": {"fontSize": 12},
                ":valueFormatter": "value => value == null ? '–' : Math.round(value * 100) + ' %'",
            },
            "axisPointer": {"link": [{"xAxisIndex": "all"}]},
            "dataset": {"source": {name: [] for name in ("at", *EMOTIONS, "stress")}},
            "grid": [
                {"left": 46, "right": 12, "top": 10, "height": "52%"},
                {"left": 46, "right": 12, "bottom": 24, "height": "22%"},
            ],
            "series": [
                *(
                    {
                        "type": "line", "name": emotion, "stack": "shares", "symbol": "none", "silent": True,
                        "lineStyle": {"width": 0}, "areaStyle": {"opacity": 0.9}, "color": COLOURS[emotion],
                        "encode": {"x": "at", "y": emotion}, "emphasis": {"disabled": True},
                    }
                    for emotion in ORDER
                ),
                {
                    "type": "line", "name": "stress", "symbol": "none", "xAxisIndex": 1, "yAxisIndex": 1,
                    "encode": {"x": "at", "y": "stress"}, "emphasis": {"disabled": True},
                    "lineStyle": {"width": 2},
                    "markLine": {
                        "symbol": "none", "silent": True, "label": {"show": False},
                        "data": [{"yAxis": self._threshold}], "lineStyle": {"type": "dashed", "width": 1},
                    },
                },
            ],
        }  # fmt: skip
        merged: dict[str, Any] = _merged(options, self._axes(), self._colours(dark=dark))
        return merged

    def _axes(self) -> dict[str, Any]:
        span = {"type": "time", "min": "dataMin", "max": "dataMax"}
        percent = "value => Math.round(value * 100) + ' %'"
        return {
            "xAxis": [
                {**span, "gridIndex": 0, "axisLabel": {"show": False}, "axisTick": {"show": False}},
                {
                    **span, "gridIndex": 1, "splitNumber": 4,
                    "axisLabel": {"hideOverlap": True, "formatter": "{HH}:{mm}:{ss}", "fontSize": 11},
                },
            ],
            "yAxis": [
                {
                    "gridIndex": 0, "min": 0, "max": 1, "splitNumber": 2,
                    "axisLabel": {":formatter": percent, "fontSize": 11},
                },
                {
                    "gridIndex": 1, "min": 0, "max": 1, "splitNumber": 1, "name": "stress", "nameLocation": "middle",
                    "nameGap": 34, "axisLabel": {"show": False},
                },
            ],
        }  # fmt: skip

    def _colours(self, *, dark: bool) -> dict[str, Any]:
        axis = {
            "axisLabel": {"color": QUIET[dark]}, "axisLine": {"lineStyle": {"color": LINES[dark]}},
            "splitLine": {"lineStyle": {"color": LINES[dark]}}, "nameTextStyle": {"color": QUIET[dark]},
        }  # fmt: skip
        paper, ink = ("#23272e", "#eceff3") if dark else ("#ffffff", "#16181d")
        return {
            "xAxis": [axis, axis],
            "yAxis": [axis, axis],
            "tooltip": {"backgroundColor": paper, "borderColor": LINES[dark], "textStyle": {"color": ink}},
            "series": [
                *({} for _ in EMOTIONS),
                {"color": STRESS[dark], "markLine": {"lineStyle": {"color": QUIET[dark]}}},
            ],
        }


def _merged(first: Any, *others: Any) -> Any:
    """Tables and lists of tables laid over each other."""
    for other in others:
        if isinstance(first, dict) and isinstance(other, dict):
            first = {
                key: _merged(first[key], other[key]) if key in first and key in other else (other | first)[key]
                for key in first | other
            }
        elif isinstance(first, list) and isinstance(other, list):
            first = [_merged(one, two) for one, two in zip(first, other, strict=True)]
        else:
            first = other
    return first
