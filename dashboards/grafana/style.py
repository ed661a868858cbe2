"""How all panels look: one unit, one colour and one wording for each thing that is shown, on whichever dashboard."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, Self, TypeVar

from grafana_foundation_sdk.builders import bargauge, common, dashboard, stat, statetimeline, table, timeseries
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.variants import Dataquery
from grafana_foundation_sdk.models import common as commons
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DashboardLinkType,
    DataSourceRef,
    DynamicConfigValue,
    FieldColorModeId,
    Threshold,
    ThresholdsMode,
    ValueMap,
    ValueMapping,
    ValueMappingResult,
)
from grafana_foundation_sdk.models.dashboard import Panel as Built

from contracts.emotions import COLOURS
from contracts.settings import AggregatorSettings
from dashboards.grafana.asking import POSTGRES, Query

TAG: Final = "affectstream"
INDICATOR: Final = "An indicator computed from expressions, not a diagnosis."
STRESS: Final = "#E69F00"  # of the same palette as the emotions; none of them has it
PLAIN: Final = "#999999"
NOBODY: Final = (
    "Nobody was seen by these cameras in this time: try a longer one, or see on Pipeline whether frames arrive."
)
NO_PERSON: Final = (
    "Nothing of this person in this time: choose a longer one, or somebody else above. "
    "With privacy.level = aggregate nothing about any one person is stored."
)
NO_EPISODE: Final = "No stress episode in this time."
NO_METRICS: Final = (
    "No metrics: does Prometheus reach the workers (docs/grafana.md)? `affectstream run` alone serves none; "
    "what never happened is not counted either."
)


@dataclass(frozen=True)
class Kind:
    """A kind of quantity: its unit, and its range where it has one."""

    unit: str
    decimals: int | None = None
    low: float | None = None
    high: float | None = None


SHARE: Final = Kind("percentunit", 0, 0, 1)
PART: Final = Kind("percentunit", 1, 0)
"""A share that is small as a rule: the axis ends where the data does."""
COUNT: Final = Kind("short", 0, 0)
SECONDS: Final = Kind("s", low=0)
SCORE: Final = Kind("none", 2, 0, 1)
WHEN: Final = Kind("dateTimeAsIso")
TEXT: Final = Kind("string")
FRAMES: Final = Kind("suffix: frames/s", 1, 0)
FACES: Final = Kind("suffix: faces/s", 1, 0)
RATE: Final = Kind("suffix: /s", 2, 0)


class AnyPanel(Protocol):
    """What the builders of all panels have in common; the SDK names no type for it."""

    def title(self, title: str, /) -> Self: ...
    def description(self, description: str, /) -> Self: ...
    def datasource(self, datasource: DataSourceRef, /) -> Self: ...
    def unit(self, unit: str, /) -> Self: ...
    def decimals(self, decimals: float, /) -> Self: ...
    def min(self, min_val: float, /) -> Self: ...
    def max(self, max_val: float, /) -> Self: ...
    def no_value(self, no_value: str, /) -> Self: ...
    def interval(self, interval: str, /) -> Self: ...
    def span(self, w: int, /) -> Self: ...
    def height(self, h: int, /) -> Self: ...
    def targets(self, targets: list[Builder[Dataquery]], /) -> Self: ...
    def thresholds(self, thresholds: Builder[Any], /) -> Self: ...
    def color_scheme(self, color: Builder[Any], /) -> Self: ...
    def mappings(self, mappings: list[ValueMapping], /) -> Self: ...
    def override_by_name(self, name: str, properties: list[DynamicConfigValue], /) -> Self: ...
    def override_by_regexp(self, regexp: str, properties: list[DynamicConfigValue], /) -> Self: ...
    def build(self) -> Built: ...


P = TypeVar("P", bound=AnyPanel)


@dataclass(frozen=True)
class Says:
    """What stands around a panel's picture, what it asks, and how large it is (of 24 columns)."""

    title: str
    about: str
    queries: Sequence[Query]
    kind: Kind
    nothing: str = NOBODY
    width: int = 12
    height: int = 8
    source: DataSourceRef = POSTGRES
    interval: str | None = None  # the shortest between two points


def lines(says: Says, *, colours: Mapping[str, str] | None = None, named_by: str | None = None) -> timeseries.Panel:
    """Lines over time. `colours` by series; `named_by` a label, where the series are as many as its values."""
    legend = common.VizLegendOptions().display_mode(commons.LegendDisplayMode.LIST).show_legend(True)
    panel = (
        _framed(timeseries.Panel(), says)
        .legend(legend.placement(commons.LegendPlacement.BOTTOM))
        .tooltip(common.VizTooltipOptions().mode(commons.TooltipDisplayMode.MULTI).sort(commons.SortOrder.DESCENDING))
        .line_width(1)
        .fill_opacity(8)
        .show_points(commons.VisibilityMode.AUTO)
        .span_nulls(False)
    )
    if named_by:
        panel.display_name(f"${{__field.labels.{named_by}}}")
    return _coloured(panel, colours or {})


def shares(says: Says) -> timeseries.Panel:
    """The seven emotions on top of each other."""
    stacking = common.StackingConfig().mode(commons.StackingMode.NORMAL).group("A")
    return lines(says, colours=COLOURS).stacking(stacking).line_width(0).fill_opacity(80)


def bars_of_emotions(says: Says) -> bargauge.Panel:
    """The seven emotions as bars, of one row."""
    panel = (
        _framed(bargauge.Panel(), says)
        .display_mode(commons.BarGaugeDisplayMode.BASIC)
        .orientation(commons.VizOrientation.HORIZONTAL)
        .value_mode(commons.BarGaugeValueMode.TEXT)
        .show_unfilled(True)
        .min_viz_width(8)
        .min_viz_height(10)
        .reduce_options(_reduce())
    )
    return _coloured(panel, COLOURS)


def figure(says: Says, colour: str = PLAIN, *, field: str = "") -> stat.Panel:
    """One value, large. `field` names it where it is no number but an emotion."""
    panel = (
        _framed(stat.Panel(), says)
        .color_scheme(_fixed(colour))
        .graph_mode(commons.BigValueGraphMode.NONE)
        .color_mode(commons.BigValueColorMode.VALUE)
        .justify_mode(commons.BigValueJustifyMode.CENTER)
        .text_mode(commons.BigValueTextMode.VALUE)
        .orientation(commons.VizOrientation.AUTO)
        .reduce_options(_reduce(f"/^{field}$/" if field else ""))
    )
    return panel.mappings([emotion_texts()]) if field else panel


def states(says: Says) -> statetimeline.Panel:
    """What was the case when; each emotion in its colour."""
    return (
        _framed(statetimeline.Panel(), says)
        .legend(common.VizLegendOptions().show_legend(True).display_mode(commons.LegendDisplayMode.LIST)
                .placement(commons.LegendPlacement.BOTTOM))
        .tooltip(common.VizTooltipOptions().mode(commons.TooltipDisplayMode.SINGLE).sort(commons.SortOrder.NONE))
        .show_value(commons.VisibilityMode.AUTO)
        .merge_values(True)
        .row_height(0.9)
        .align_value(commons.TimelineValueAlignment.LEFT)
        .line_width(0)
        .fill_opacity(85)
        .mappings([emotion_texts()])
    )  # fmt: skip


@dataclass(frozen=True)
class Column:
    """A column of a table that is not as the others."""

    kind: Kind | None = None
    link: tuple[str, str] | None = None  # title and URL
    mapping: ValueMap | None = None  # its texts in colours
    bar: str | None = None  # colour of a bar in the cell
    width: int | None = None
    hidden: bool = False


def rows(says: Says, columns: Mapping[str, Column], *, sorted_by: str | None = None) -> table.Panel:
    """A table. `sorted_by` names a column, highest first; else as the query has it."""
    panel = (
        _framed(table.Panel(), says)
        .show_header(True)
        .cell_height(commons.TableCellHeight.SM)
        .override_by_regexp(".*", [DynamicConfigValue("noValue", "–")])
    )
    for name, column in columns.items():
        panel.override_by_name(name, list(_properties(column)))
    if sorted_by:
        panel.sort_by([common.TableSortByFieldState().display_name(sorted_by).desc(True)])
    return panel


def heat(says: Says, colour_mode: str) -> table.Panel:
    """Weekdays by hours, the cells coloured by their values: all columns of two digits."""
    cell = {"type": "color-background", "mode": "basic"}
    return rows(says, {"weekday": Column(TEXT, width=90)}).override_by_regexp(
        r"^\d\d$",
        [
            DynamicConfigValue("custom.cellOptions", cell),
            DynamicConfigValue("color", {"mode": colour_mode}),
            DynamicConfigValue("custom.align", "center"),
            DynamicConfigValue("custom.minWidth", 40),
        ],
    )


def with_thresholds(panel: timeseries.Panel, settings: AggregatorSettings) -> timeseries.Panel:
    """Dashed lines where the stressed state begins and ends."""
    steps = [(None, "transparent"), (settings.stress_off, "#E69F0080"), (settings.stress_on, STRESS)]
    thresholds = dashboard.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE)
    style = common.GraphThresholdsStyleConfig().mode(commons.GraphTresholdsStyleMode.DASHED)
    return panel.thresholds(
        thresholds.steps([Threshold(value=at, color=colour) for at, colour in steps])
    ).thresholds_style(style)


def emotion_texts() -> ValueMap:
    """The emotions' names in their colours."""
    return coloured_texts(COLOURS)


def coloured_texts(colours: Mapping[str, str]) -> ValueMap:
    return ValueMap(
        {text: ValueMappingResult(color=colour, index=at) for at, (text, colour) in enumerate(colours.items())}
    )


STATES: Final = {"running": "#009E73", "finished": PLAIN, "interrupted": STRESS, "lost": STRESS, "failed": "#D55E00"}
"""How a run stands, in the palette's colours."""


_CELL: Final = "${__value.raw:percentencode}"
CAMERA_LINK: Final = ("Look at this camera", f"/d/affectstream-camera?${{__url_time_range}}&var-camera={_CELL}")
"""From a cell with a camera's name to its dashboard, at the same time range."""
PERSON_LINK: Final = (
    "Look at this person",
    f"/d/affectstream-person?${{__url_time_range}}&${{camera:queryparam}}&var-person={_CELL}",
)
"""From a cell with a pseudonym to the person's dashboard, at the same time range."""


def new_dashboard(uid: str, title: str, about: str, *, since: str, refresh: str = "30s") -> dashboard.Dashboard:
    """An empty dashboard, linked with the others: they get its time range and its variables."""
    link = dashboard.DashboardLink(TAG).type(DashboardLinkType.DASHBOARDS).tags([TAG]).icon("external link")
    return (
        dashboard.Dashboard(title)
        .uid(uid)
        .description(about)
        .tags([TAG])
        .time(since, "now")
        .refresh(refresh)
        .timezone("browser")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .link(link.keep_time(True).include_vars(True).as_dropdown(False))
    )


def _framed(panel: P, says: Says) -> P:
    panel.title(says.title).description(says.about).datasource(says.source).no_value(says.nothing)
    panel.targets(list(says.queries)).unit(says.kind.unit).span(says.width).height(says.height)
    if says.kind.decimals is not None:
        panel.decimals(says.kind.decimals)
    if says.kind.low is not None:
        panel.min(says.kind.low)
    if says.kind.high is not None:
        panel.max(says.kind.high)
    if says.interval:
        panel.interval(says.interval)
    return panel


def _coloured(panel: P, colours: Mapping[str, str]) -> P:
    for name, colour in colours.items():
        panel.override_by_name(name, [DynamicConfigValue("color", {"mode": "fixed", "fixedColor": colour})])
    return panel


def _properties(column: Column) -> Iterable[DynamicConfigValue]:
    if column.kind:
        settings = {
            "unit": column.kind.unit,
            "decimals": column.kind.decimals,
            "min": column.kind.low,
            "max": column.kind.high,
        }
        yield from (DynamicConfigValue(name, value) for name, value in settings.items() if value is not None)
    if column.link:
        yield DynamicConfigValue("links", [dict(zip(("title", "url"), column.link, strict=True))])
    if column.mapping:
        yield DynamicConfigValue("mappings", [column.mapping])
        yield DynamicConfigValue("custom.cellOptions", {"type": "color-text"})
    if column.bar:
        yield DynamicConfigValue("color", {"mode": "fixed", "fixedColor": column.bar})
        yield DynamicConfigValue("custom.cellOptions", {"type": "gauge", "mode": "basic", "valueDisplayMode": "text"})
    if column.width:
        yield DynamicConfigValue("custom.width", column.width)
    if column.hidden:
        yield DynamicConfigValue("custom.hidden", True)


def _fixed(colour: str) -> dashboard.FieldColor:
    return dashboard.FieldColor().mode(FieldColorModeId.FIXED).fixed_color(colour)


def _reduce(fields: str = "") -> common.ReduceDataOptions:
    return common.ReduceDataOptions().values(False).calcs(["lastNotNull"]).fields(fields)
