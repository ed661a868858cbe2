"""The dashboards look and speak alike, link to each other, ask for metrics that exist, and lie in the repository."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from grafana_foundation_sdk.models import units
from prometheus_client import Counter, Gauge, Histogram
from typer.testing import CliRunner

from contracts.emotions import COLOURS, EMOTIONS
from contracts.settings import Settings
from dashboards.grafana.catalog import Asked, as_text, dashboards, queries
from pipeline import metrics
from pipeline.cli import app

Json = dict[str, Any]
ROOT: Final = Path(__file__).parents[2]
PROVISIONED: Final = ROOT / "dashboards" / "provisioning"
DASHBOARDS: Final = dashboards(Settings())
PANELS: Final = [
    pytest.param(panel, id=f"{uid.removeprefix('affectstream-')}: {panel['title']}")
    for uid, content in DASHBOARDS.items()
    for panel in content["panels"]
]
PROMQL: Final = [query for query in queries(Settings()) if query.language == "promql"]
UNITS: Final = {value for name, value in vars(units).items() if not name.startswith("_") and isinstance(value, str)}


def settings_of(panel: Json) -> Iterator[tuple[str, Any]]:
    """What is set for all fields and for some, as (name, value)."""
    yield from panel["fieldConfig"]["defaults"].items()
    for override in panel["fieldConfig"]["overrides"]:
        for each in override["properties"]:
            yield each["id"], each["value"]


@pytest.mark.parametrize("panel", PANELS)
def test_a_panel_has_a_unit_a_description_and_words_for_no_data(panel: Json) -> None:
    assert panel["fieldConfig"]["defaults"]["unit"]
    for name, value in settings_of(panel):
        assert name != "unit" or value in UNITS or value.startswith("suffix:"), value
    assert len(panel["description"]) > 20
    assert panel["description"].endswith(".")
    assert panel["fieldConfig"]["defaults"]["noValue"]


@pytest.mark.parametrize("panel", PANELS)
def test_who_speaks_of_stress_says_that_it_is_no_diagnosis(panel: Json) -> None:
    if "stress" in json.dumps(panel["targets"]):
        shows_stress = "stress" in json.dumps([panel["title"], panel["description"]]).lower()
        assert not shows_stress or "not a diagnosis" in panel["description"]


@pytest.mark.parametrize("panel", PANELS)
def test_an_emotion_has_its_one_colour(panel: Json) -> None:
    for override in panel["fieldConfig"]["overrides"]:
        name = override["matcher"]["options"]
        for each in override["properties"]:
            if name in EMOTIONS and each["id"] == "color":
                assert each["value"] == {"mode": "fixed", "fixedColor": COLOURS[name]}
    coloured = {override["matcher"]["options"] for override in panel["fieldConfig"]["overrides"]}
    if f'AS "{EMOTIONS[0]}"' in panel["targets"][0].get("rawSql", "") and panel["type"] in {"timeseries", "bargauge"}:
        assert set(EMOTIONS) <= coloured
    for name, value in settings_of(panel):
        for mapping in value if name == "mappings" else []:
            known = {text: shown["color"] for text, shown in mapping["options"].items() if text in EMOTIONS}
            assert known in ({}, COLOURS)


def test_panels_are_found_again_and_do_not_overlap() -> None:
    assert list(DASHBOARDS) == [f"affectstream-{name}" for name in ("overview", "camera", "person", "pipeline")]
    for content in DASHBOARDS.values():
        taken: set[tuple[int, int]] = set()
        for panel in content["panels"]:
            at = panel["gridPos"]
            cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
            assert not taken & cells, panel["title"]
            assert at["x"] + at["w"] <= 24
            taken |= cells
        assert [panel["id"] for panel in content["panels"]] == list(range(1, len(content["panels"]) + 1))


def test_links_keep_the_time_range_and_the_variables() -> None:
    for content in DASHBOARDS.values():
        (link,) = content["links"]
        assert (link["type"], link["keepTime"], link["includeVars"]) == ("dashboards", True, True)
        assert link["tags"] == content["tags"]
        for panel in content["panels"]:
            for name, value in settings_of(panel):
                for each in value if name == "links" else []:
                    uid = re.match(r"/d/([\w-]+)\?", each["url"])
                    assert uid
                    assert uid[1] in DASHBOARDS
                    assert "from=" in each["url"] or "${__url_time_range}" in each["url"]
                    assert "var-camera=" in each["url"] or "${camera:queryparam}" in each["url"]


def test_the_lines_of_stress_are_where_the_settings_have_them() -> None:
    chosen = {"aggregator": {"stress_on": 0.7, "stress_off": 0.2, "windows": [5, 300]}}
    made = dashboards(Settings.model_validate(chosen))
    (panel,) = [panel for panel in made["affectstream-person"]["panels"] if panel["title"] == "Stress score"]
    assert [step["value"] for step in panel["fieldConfig"]["defaults"]["thresholds"]["steps"]] == [None, 0.2, 0.7]
    text = json.dumps(made)
    assert "THEN 5 ELSE 300 END" in text
    assert "900" not in text


def labels_of(name: str) -> set[str] | None:
    """The labels of a series in Prometheus; None where the workers tell of no such."""
    for metric in vars(metrics).values():
        if isinstance(metric, (Counter, Gauge, Histogram)):
            own, stem = set(metric._labelnames), metric._name
            series = {
                Counter: {f"{stem}_total": own},
                Gauge: {stem: own},
                Histogram: {f"{stem}_bucket": own | {"le"}, f"{stem}_sum": own, f"{stem}_count": own},
            }[type(metric)]
            if name in series:
                return series[name]
    return None


@pytest.mark.parametrize("query", PROMQL, ids=lambda query: f"{query} {query.text[:60]}")
def test_a_metric_that_is_asked_for_is_told_with_these_labels(query: Asked) -> None:
    found = re.findall(r"(affectstream_\w+)(?:\{([^}]*(?:\$\{[^}]*\}[^}]*)*)\})?", query.text)
    assert found
    grouped = {label.strip() for some in re.findall(r"by \(([^)]*)\)", query.text) for label in some.split(",")}
    for name, given in found:
        known = labels_of(name)
        assert known is not None, name
        assert set(re.findall(r"(\w+)(?:=|!)", given)) <= known
        assert grouped <= known
    assert set(re.findall(r"\{\{(\w+)\}\}", query.legend)) <= grouped


def test_every_metric_is_shown() -> None:
    asked = " ".join(query.text for query in PROMQL)
    for metric in vars(metrics).values():
        if isinstance(metric, (Counter, Gauge, Histogram)):
            assert metric._name in asked


def test_the_files_in_the_repository_are_what_the_code_makes() -> None:
    files = {path.stem: path.read_text(encoding="utf-8") for path in (PROVISIONED / "dashboards").glob("*.json")}
    again = "affectstream dashboards export dashboards/provisioning/dashboards"
    assert files == {uid: as_text(content) for uid, content in DASHBOARDS.items()}, again


def test_export_writes_them_where_it_is_told(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["dashboards", "export", str(tmp_path / "new" / "folder")])
    assert done.exit_code == 0
    written = [Path(line) for line in done.output.split("\n") if line]
    assert {path.stem for path in written} == set(DASHBOARDS)
    assert all(json.loads(path.read_text())["uid"] == path.stem for path in written)


def test_export_says_in_one_line_where_it_may_not_write(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = CliRunner().invoke(app, ["dashboards", "export", str(tmp_path / "file" / "folder")])
    assert "cannot write to" in str(done.exception)
    assert done.exception
    assert getattr(done.exception, "exit_code", None) == 2


def test_the_data_sources_are_those_that_the_dashboards_ask() -> None:
    provisioned = yaml.safe_load((PROVISIONED / "datasources" / "affectstream.yaml").read_text())["datasources"]
    known = {(source["type"], source["uid"]) for source in provisioned}
    asked = set(re.findall(r'"type": "([\w-]+)", "uid": "(affectstream-\w+)"', json.dumps(DASHBOARDS)))
    assert asked == known
    environment = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["grafana"]["environment"]
    text = (PROVISIONED / "datasources" / "affectstream.yaml").read_text()
    assert set(re.findall(r"\$(\w+)", text)) <= set(environment)
    assert environment["DATABASE_USER"] == "affectstream_grafana"
