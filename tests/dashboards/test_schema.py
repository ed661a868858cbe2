"""The dashboards are what Grafana's own types say a dashboard is, and the check would notice if they were not."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from contracts.settings import Settings
from dashboards.grafana.catalog import dashboards
from tests.services import grafana_schema

Json = dict[str, Any]
TYPES: Final = (Path(__file__).parent / "dashboard.ts").read_text()
DASHBOARDS: Final = dashboards(Settings())


def panel(content: Json, kind: str) -> Json:
    found: Json = next(panel for panel in content["panels"] if panel["type"] == kind)
    return found


def a_number_as_unit(content: Json) -> None:
    panel(content, "stat")["fieldConfig"]["defaults"]["unit"] = 5


def an_unknown_value_of_an_enum(content: Json) -> None:
    panel(content, "timeseries")["fieldConfig"]["defaults"]["custom"]["showPoints"] = "sometimes"


def a_number_that_is_in_no_enum(content: Json) -> None:
    content["graphTooltip"] = 7


def an_option_of_another_kind_of_panel(content: Json) -> None:
    panel(content, "stat")["options"]["showHeader"] = True


def an_unknown_kind_of_panel(content: Json) -> None:
    panel(content, "table")["type"] = "tabel"


def a_colour_mode_that_is_none(content: Json) -> None:
    panel(content, "bargauge")["fieldConfig"]["overrides"][0]["properties"][0]["value"]["mode"] = "fixd"


def an_override_of_nothing(content: Json) -> None:
    panel(content, "table")["fieldConfig"]["overrides"][0]["properties"][0]["id"] = "custom.cellOption"


def an_override_with_a_wrong_value(content: Json) -> None:
    wrong = {"id": "custom.cellOptions", "value": {"type": "color-backgrounds"}}
    panel(content, "table")["fieldConfig"]["overrides"][0]["properties"] = [wrong]


def a_target_without_a_query(content: Json) -> None:
    del content["panels"][0]["targets"][0]["rawSql"]


def a_variable_of_no_type(content: Json) -> None:
    content["templating"]["list"][0]["type"] = "sql"


def a_link_of_no_type(content: Json) -> None:
    content["links"][0]["type"] = "dashboard"


def an_unknown_property(content: Json) -> None:
    content["styles"] = "dark"


BROKEN: Final[tuple[Callable[[Json], None], ...]] = (
    *(a_number_as_unit, an_unknown_value_of_an_enum, a_number_that_is_in_no_enum, an_option_of_another_kind_of_panel),
    *(an_unknown_kind_of_panel, a_colour_mode_that_is_none, an_override_of_nothing, an_override_with_a_wrong_value),
    *(a_target_without_a_query, a_variable_of_no_type, a_link_of_no_type, an_unknown_property),
)


@pytest.fixture(scope="module")
def said() -> dict[str, list[str]]:
    """What the compiler says of each dashboard and of the broken ones, all in one go: it is slow to start."""
    if why := grafana_schema.fetch():
        pytest.skip(why)
    files = {"dashboard": TYPES}
    for uid, content in DASHBOARDS.items():
        files[uid] = checked(content)
    for breaks in BROKEN:
        broken = copy.deepcopy(DASHBOARDS["affectstream-overview"])
        breaks(broken)
        files[breaks.__name__] = checked(broken)
    return grafana_schema.errors(files)


def checked(content: Json) -> str:
    text = json.dumps(content, ensure_ascii=False)
    return f"import type {{ Checked }} from './dashboard';\nexport const dashboard: Checked = {text};\n"


@pytest.mark.parametrize("uid", DASHBOARDS)
def test_a_dashboard_is_one_by_grafanas_own_types(uid: str, said: dict[str, list[str]]) -> None:
    assert said[uid] == []
    assert said["dashboard"] == []


@pytest.mark.parametrize("breaks", BROKEN)
def test_a_broken_dashboard_is_refused(breaks: Callable[[Json], None], said: dict[str, list[str]]) -> None:
    assert said[breaks.__name__]


def test_the_types_are_those_of_the_grafana_that_is_deployed() -> None:
    compose = yaml.safe_load((Path(__file__).parents[2] / "docker-compose.yml").read_text())
    assert compose["services"]["grafana"]["image"] == f"grafana/grafana:{grafana_schema.VERSION}"
