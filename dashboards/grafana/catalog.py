"""All dashboards, as Grafana wants them, and what they ask."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from grafana_foundation_sdk.builders.dashboard import Dashboard
from grafana_foundation_sdk.cog.encoder import JSONEncoder

from contracts.settings import Settings
from dashboards.grafana.camera import camera
from dashboards.grafana.overview import overview
from dashboards.grafana.person import person
from dashboards.grafana.pipeline import pipeline

Boards = Mapping[str, Mapping[str, Any]]
"""By UID."""
SCHEMA: Final = 41
"""Grafana 11.6's version of the JSON."""
_OF_OLD: Final = {"style", "revision", "allFormat", "auto", "auto_min", "auto_count", "repeatDirection"}
"""What the SDK writes for Grafana 10 and nobody reads any more."""


@dataclass(frozen=True)
class Asked:
    """A query with Grafana's macros and variables in it, and who asks."""

    dashboard: str  # its uid
    name: str  # the title of the panel, or the name of the variable or annotation
    role: Literal["panel", "variable", "annotation"]
    language: Literal["sql", "promql"]
    text: str
    format: str  # time_series or table
    panel: Mapping[str, Any] | None  # the panel's JSON
    legend: str = ""  # how each series of PromQL is named

    def __str__(self) -> str:
        role = "" if self.role == "panel" else f" ({self.role})"
        return f"{self.dashboard.removeprefix('affectstream-')}: {self.name}{role}"


def dashboards(settings: Settings) -> dict[str, dict[str, Any]]:
    """uid -> the dashboard's JSON. Window lengths and thresholds are those of the settings."""
    made = [_json(dashboard) for dashboard in (overview(settings), camera(settings), person(settings), pipeline())]
    return {content["uid"]: content for content in made}


def write(folder: Path, settings: Settings) -> list[Path]:
    """Writes each dashboard to FOLDER/UID.json, as Grafana provisions and imports them. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for uid, content in dashboards(settings).items():
        path = folder / f"{uid}.json"
        path.write_text(as_text(content), encoding="utf-8")
        written.append(path)
    return written


def as_text(content: Mapping[str, Any]) -> str:
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def queries(settings: Settings) -> Iterator[Asked]:
    """Everything that the dashboards ask."""
    for uid, content in dashboards(settings).items():
        for variable in content["templating"]["list"]:
            yield Asked(uid, variable["name"], "variable", "sql", variable["query"], "table", None)
        for annotation in content["annotations"].get("list", []):
            yield _asked(uid, annotation["name"], "annotation", annotation["target"], None)
        for panel in content["panels"]:
            for target in panel["targets"]:
                yield _asked(uid, panel["title"], "panel", target, panel)


def _asked(
    uid: str,
    name: str,
    role: Literal["panel", "annotation"],
    target: Mapping[str, Any],
    panel: Mapping[str, Any] | None,
) -> Asked:
    if "expr" in target:
        return Asked(uid, name, role, "promql", target["expr"], "time_series", panel, target["legendFormat"])
    return Asked(uid, name, role, "sql", target["rawSql"], target["format"], panel)


def _json(builder: Dashboard) -> dict[str, Any]:
    built = builder.build()
    for number, panel in enumerate(built.panels or [], 1):
        panel.id_val = number
    content: dict[str, Any] = json.loads(json.dumps(built, cls=JSONEncoder))
    for variable in content["templating"]["list"]:
        del variable["id"]
    _drop(content)
    return {"id": None, **content, "schemaVersion": SCHEMA}


def _drop(content: Any) -> None:
    """Removes what is of old, at any depth; values alone are never named so."""
    for value in content.values() if isinstance(content, dict) else content:
        if isinstance(value, (dict, list)):
            _drop(value)
    if isinstance(content, dict):
        for name in _OF_OLD & content.keys():
            del content[name]
