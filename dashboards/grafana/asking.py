"""What a panel, a variable or an annotation asks: SQL of Postgres, PromQL of Prometheus."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from grafana_foundation_sdk.builders.dashboard import QueryVariable
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.variants import Dataquery
from grafana_foundation_sdk.models.dashboard import (
    AnnotationQuery,
    DataSourceRef,
    VariableOption,
    VariableRefresh,
)

POSTGRES: Final = DataSourceRef("grafana-postgresql-datasource", "affectstream-postgres")
PROMETHEUS: Final = DataSourceRef("prometheus", "affectstream-prometheus")

Format = Literal["time_series", "table"]


@dataclass(frozen=True)
class Query(Builder[Dataquery], Dataquery):
    """A target of a panel; it is its own builder, as the SDK has none for SQL."""

    content: Mapping[str, Any]

    def build(self) -> Dataquery:
        return self

    def to_json(self) -> Mapping[str, Any]:
        return self.content


def sql(text: str, form: Format = "table", ref: str = "A") -> Query:
    return Query(_sql(text, form, ref))


def promql(expression: str, legend: str = "", ref: str = "A", *, instant: bool = False) -> Query:
    """`legend` names each series: {{stage}}, say. `instant` asks for one value at the end of the time range."""
    content = {"datasource": PROMETHEUS, "editorMode": "code", "expr": expression, "legendFormat": legend}
    return Query({**content, "instant": instant, "range": not instant, "refId": ref})


class Episodes(Builder[AnnotationQuery], AnnotationQuery):
    """Spans of time to mark in all graphs. The SDK knows no SQL here."""

    def __init__(self, name: str, text: str, colour: str) -> None:
        super().__init__(name=name, datasource=POSTGRES, icon_color=colour)
        self._text: Final = text

    def build(self) -> AnnotationQuery:
        return self

    def to_json(self) -> dict[str, object]:
        return {**super().to_json(), "target": _sql(self._text, "table", "Anno")}


CAMERAS: Final = "camera_id = ANY(ARRAY[${camera:sqlstring}]::text[])"
"""The cameras chosen; unlike IN (), it may be an empty list."""
PERSON: Final = "person_id = ${person:sqlstring}"


def camera_variable() -> QueryVariable:
    """One camera, several or all."""
    return (
        _variable(
            "camera", "SELECT camera_id FROM camera_summary ORDER BY camera_id", VariableRefresh.ON_DASHBOARD_LOAD
        )
        .label("Camera")
        .description("The cameras to look at.")
        .multi(True)
        .include_all(True)
        .current(VariableOption(text="All", value="$__all"))
    )


def person_variable() -> QueryVariable:
    """Somebody whom the chosen cameras saw in the time range; who was seen longest comes first."""
    query = (
        f"SELECT person_id FROM person_summary WHERE {CAMERAS} "  # noqa: S608
        "AND last_seen >= $__timeFrom()::timestamptz AND first_seen <= $__timeTo()::timestamptz "
        "ORDER BY seconds_observed DESC, person_id LIMIT 1000"
    )
    return (
        _variable("person", query, VariableRefresh.ON_TIME_RANGE_CHANGED)
        .label("Person")
        .description("One unbroken appearance before a camera, as a pseudonym; who was seen longest comes first.")
    )


def _variable(name: str, query: str, refresh: VariableRefresh) -> QueryVariable:
    return QueryVariable(name).datasource(POSTGRES).query(query).refresh(refresh)


def _sql(text: str, form: Format, ref: str) -> dict[str, Any]:
    content = {"datasource": POSTGRES, "editorMode": "code", "format": form, "rawQuery": True, "rawSql": text}
    return {**content, "refId": ref}
