"""Each alert rule fires on what it is about and on nothing else, and the files are as Grafana reads them.

They are asked as Grafana asks: the SQL of a real Postgres as the reader, the PromQL of Prometheus' own engine.
"""

import json
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Protocol

import msgspec
import pytest
import yaml
from sqlalchemy import Engine

from contracts.rows import Rows, Run, WindowStat
from contracts.settings import Settings, StorageSettings
from dashboards.grafana.alerts import Alert, alerts, provisioning, rules
from dashboards.grafana.catalog import dashboards
from dashboards.grafana.macros import Range, expand
from storage import open_store
from storage.store import Store
from tests.dashboards.stored import QUOTED, engine_of, reader
from tests.services.postgres import MISSING, postgres_programs, postgres_server
from tests.services.prometheus import MISSING as NO_PROMETHEUS
from tests.services.prometheus import prometheus_program
from tests.storage.samples import dead_letter, empty_window, run, window

pytestmark = pytest.mark.xdist_group("alerts")  # one database for all of this file

FOLDER: Final = Path(__file__).parents[2] / "dashboards" / "provisioning" / "alerting"
ALERTS: Final = alerts(Settings())
BY_UID: Final = {alert.uid.removeprefix("affectstream-"): alert for alert in ALERTS}
BOARDS: Final = dashboards(Settings())
NOW: Final = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def ago(seconds: float) -> int:
    return round((NOW.timestamp() - seconds) * 10**9)


def tens(seconds: int, **changes: Any) -> list[WindowStat]:
    """Ten-second windows of the last so many seconds, of one person in view."""
    return [
        window(window_start=ago(start), people=1, seconds_observed=10.0, **changes)
        for start in range(10, seconds + 1, 10)
    ]


def camera(name: str = "door", **changes: Any) -> Run:
    return run(camera_id=name, run_id=f"{name}-1", started_at=ago(3600), **changes)


Stored = tuple[list[Run], Rows]
Fired = dict[str, float]


class Fires(Protocol):
    """Camera -> value, of the alerts that a rule raises where just this is stored."""

    def __call__(self, uid: str, stored: Stored, settings: Settings | None = None) -> Fired: ...


@pytest.fixture(scope="module")
def database() -> Iterator[tuple[Store, Engine, Engine]]:
    """A store, its reader and its owner."""
    if postgres_programs() is None:
        pytest.skip(MISSING)
    with postgres_server() as url, reader(url) as engine, open_store(StorageSettings(url=url)) as store:
        owner = engine_of(url)
        yield store, engine, owner
        owner.dispose()


@pytest.fixture
def fires(database: tuple[Store, Engine, Engine]) -> Fires:
    store, engine, owner = database

    def look(uid: str, stored: Stored, settings: Settings | None = None) -> Fired:
        runs, rows = stored
        with owner.begin() as connection:
            connection.exec_driver_sql("TRUNCATE camera, run, person, observation, window_stat, dead_letter CASCADE")
        for one in runs:
            store.start_run(one)
        store.write(rows)
        (alert,) = (one for one in alerts(settings or Settings()) if one.uid == f"affectstream-{uid}")
        over = Range(NOW - timedelta(seconds=alert.seconds), NOW)
        query = expand(str(alert.query.content["rawSql"]), over, {})  # a rule has no variables
        with engine.connect() as connection:
            result = connection.exec_driver_sql(query.replace("%", "%%"))
            assert list(result.keys()) == ["camera", "value"]  # of any other form Grafana would make something else
            answers = [(str(name), value) for name, value in result]
        assert all(isinstance(value, float) for _, value in answers)
        assert len(dict(answers)) == len(answers)
        return {name: value for name, value in answers if value > alert.above}

    return look


def test_stress_fires_for_the_camera_that_has_it(fires: Fires) -> None:
    stressed = tens(600, stress_ratio=0.8, camera_id=QUOTED)
    calm = tens(600, stress_ratio=0.4)
    assert fires("stress", ([camera(), camera(QUOTED)], Rows(windows=stressed + calm))) == {QUOTED: pytest.approx(0.8)}


def test_stress_is_a_share_of_the_time_observed_by_windows_of_one_length(fires: Fires) -> None:
    long = window(window_start=ago(540), window_seconds=540, seconds_observed=500.0, stress_ratio=0.9)
    busy = window(window_start=ago(100), seconds_observed=90.0, stress_ratio=0.7)
    quiet = window(window_start=ago(200), seconds_observed=10.0, stress_ratio=0.0)
    fired = fires("stress", ([camera()], Rows(windows=[long, busy, quiet])))
    assert fired == {"door": pytest.approx(0.63)}
    assert (
        fires("stress", ([camera()], Rows(windows=[long, quiet, window(window_start=ago(30), stress_ratio=0.4)]))) == {}
    )


def test_stress_of_a_moment_or_of_earlier_does_not_fire(fires: Fires) -> None:
    earlier = [window(window_start=ago(1000 + 10 * number), stress_ratio=1.0) for number in range(30)]
    passing = window(window_start=ago(60), seconds_observed=4.0, stress_ratio=1.0)
    assert fires("stress", ([camera()], Rows(windows=[*earlier, passing]))) == {}
    nobody = [empty_window(window_start=ago(start)) for start in range(10, 600, 10)]
    assert fires("stress", ([camera()], Rows(windows=nobody))) == {}
    assert fires("stress", ([], Rows())) == {}


@pytest.mark.parametrize("status", ["running", "lost", "failed"])
def test_a_camera_is_silent_when_nothing_of_it_is_stored_any_more(fires: Fires, status: str) -> None:
    ended = None if status == "running" else ago(400)
    gone = camera(status=status, ended_at=ended)
    here = camera("yard")
    rows = Rows(
        windows=[window(window_start=ago(410)), empty_window(camera_id="yard", run_id="yard-1", window_start=ago(60))]
    )
    assert fires("silent", ([gone, here], rows)) == {"door": pytest.approx(400)}


def test_who_sees_nobody_who_was_stopped_and_who_replays_is_not_silent(fires: Fires) -> None:
    nobody = Rows(windows=[empty_window(window_start=ago(20))])
    assert fires("silent", ([camera()], nobody)) == {}
    for status in ("finished", "interrupted"):
        assert fires("silent", ([camera(status=status, ended_at=ago(1000))], Rows())) == {}
    assert fires("silent", ([camera(live=False)], Rows())) == {}
    assert fires("silent", ([camera(status="lost", ended_at=ago(25 * 3600))], Rows())) == {}, "not for ever"


@pytest.mark.parametrize("seconds", [10, 300, 900])
def test_long_windows_are_waited_for(fires: Fires, seconds: int) -> None:
    """A window is stored when it is over, and is the newest until the next is."""
    settings = Settings.model_validate({"aggregator": {"windows": [seconds]}})
    newest = window(window_seconds=seconds, window_start=ago(2 * seconds - 1), seconds_observed=60.0, stress_ratio=0.9)
    assert fires("stress", ([camera()], Rows(windows=[newest])), settings) == {"door": pytest.approx(0.9)}
    assert fires("silent", ([camera()], Rows(windows=[newest])), settings) == {}
    gone = window(window_seconds=seconds, window_start=ago(2 * seconds + 310))
    assert fires("silent", ([camera()], Rows(windows=[gone])), settings) == {"door": seconds + 310}


def test_dead_letters_fire_by_camera_while_they_are_new(fires: Fires) -> None:
    new = [dead_letter(seq=seq, captured_at=ago(60 * seq)) for seq in (1, 2)]
    old = dead_letter(camera_id="yard", run_id="yard-1", captured_at=ago(1000))
    assert fires("dead-letters", ([camera()], Rows(dead_letters=[*new, old]))) == {"door": 2}
    assert fires("dead-letters", ([camera()], Rows(dead_letters=[old]))) == {}


LAG: Final = 'affectstream_lag{stage="%s", shard="%s", instance="%s"}'
FRAMES: Final = 'affectstream_frames_total{stage="%s", camera="%s", instance="a"}'
BORN: Final = 'affectstream_dead_letters_total{stage="%s", instance="%s"}'


def in_prometheus(folder: Path, uid: str, series: dict[str, str], fired: dict[str, float]) -> None:
    """Holds the rule against made-up series. `fired`: stage -> value."""
    alert = BY_UID[uid]
    expression = f"({alert.query.content['expr']}) > {alert.above}"
    rule = {"expr": expression, "for": alert.lasts, "annotations": {"value": "{{ $value }}"}}
    expected = [({"stage": stage}, {"value": f"{value:g}"}) for stage, value in fired.items()]
    evaluated(folder, rule, series, expected)


def evaluated(
    folder: Path, rule: dict[str, Any], series: dict[str, str], expected: list[tuple[dict[str, str], dict[str, str]]]
) -> None:
    """Prometheus' engine raises just these alerts (labels, annotations) after 15 minutes of a value each."""
    tool = prometheus_program("promtool")
    if tool is None:
        pytest.skip(NO_PROMETHEUS)
    alerts = [{"exp_labels": labels, "exp_annotations": annotations} for labels, annotations in expected]
    test = {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "alert_rule_test": [{"eval_time": "15m", "alertname": "Rule", "exp_alerts": alerts}],
    }
    group = {"name": "all", "rules": [{"alert": "Rule", **rule}]}
    (folder / "rules.yml").write_text(yaml.safe_dump({"groups": [group]}))
    (folder / "tests.yml").write_text(yaml.safe_dump({"rule_files": ["rules.yml"], "tests": [test]}))
    done = subprocess.run([tool, "test", "rules", "tests.yml"], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_stage_falls_behind_when_more_than_a_minutes_work_waits(tmp_path: Path) -> None:
    series = {
        LAG % ("detect", 0, "a"): "400x20", LAG % ("detect", 0, "b"): "400x20",  # both see the one queue
        LAG % ("detect", 1, "a"): "80x20",
        FRAMES % ("detect", "door"): "0+120x20", FRAMES % ("detect", "yard"): "0+120x20",
        LAG % ("classify", 0, "a"): "100x20", FRAMES % ("classify", "door"): "0+1500x20",  # four seconds' work
        LAG % ("aggregate", 0, "a"): "0+90x20", FRAMES % ("aggregate", "door"): "0+600x20",  # it grows, by and by
    }  # fmt: skip
    in_prometheus(tmp_path, "lag", series, {"aggregate": 135, "detect": 120})


def test_a_stage_that_does_nothing_at_all_is_behind_and_one_with_nothing_to_do_is_not(tmp_path: Path) -> None:
    series = {
        LAG % ("classify", 0, "a"): "12x20",  # it has never handled a frame
        LAG % ("detect", 0, "a"): "0x20", FRAMES % ("detect", "door"): "1000x20",
        LAG % ("aggregate", 0, "a"): "0x20",
    }  # fmt: skip
    in_prometheus(tmp_path, "lag", series, {"classify": 1200})


def test_a_burst_is_not_told(tmp_path: Path) -> None:
    series = {LAG % ("detect", 0, "a"): "0x11 500x9", FRAMES % ("detect", "door"): "0+60x20"}
    in_prometheus(tmp_path, "lag", series, {})


def test_a_kind_of_worker_that_is_missing_is_told_by_name(tmp_path: Path) -> None:
    both = {BORN % ("detect", "a"): "0x20", BORN % ("detect", "b"): "0x5 _x15", BORN % ("classify", "a"): "3x20"}
    in_prometheus(tmp_path, "missing", both, {"aggregate": 1})
    in_prometheus(tmp_path, "missing", both | {BORN % ("aggregate", "a"): "0x20"}, {})
    in_prometheus(tmp_path, "missing", both | {BORN % ("aggregate", "a"): "0x2 stale"}, {"aggregate": 1})


SAID: Final = {
    "stress": (
        0.625,
        f"Much stress at camera {QUOTED}",
        "62.5% of the time observed in the last 10 minutes was spent in the stressed state (the limit is 50%). An "
        "indicator computed from expressions, not a diagnosis.",
    ),
    "silent": (
        4000,
        f"Nothing comes from camera {QUOTED}",
        "Nothing has been stored of it for 1h 6m 40s. Is the camera on, does `affectstream cameras list` show a worker "
        "that reads it, and do all workers run?",
    ),
    "dead-letters": (
        12,
        f"Frames of camera {QUOTED} could not be processed",
        "12 frames of the last 15 minutes were given up. `affectstream dead-letters list` says why.",
    ),
    "lag": (
        135,
        "detect falls behind",
        "What waits for it is work for 2m 15s at its present pace (the limit is 60 s). Start more of these workers "
        "(docs/scaling.md), or look what holds them up.",
    ),
    "missing": (
        1,
        "No detect worker is there",
        "Prometheus reaches none, so that nothing goes beyond the stage before it. Start one, or see why it ends: "
        "`docker compose logs detect`.",
    ),
}
LINKS: Final = {
    "stress": "camera?var-camera=O%27Brien%27s+%22door%22%2C+left",
    "silent": "pipeline?var-camera=O%27Brien%27s+%22door%22%2C+left",
    "dead-letters": "pipeline?var-camera=O%27Brien%27s+%22door%22%2C+left",
    "lag": "pipeline",
    "missing": "pipeline",
}


@pytest.mark.parametrize("uid", SAID)
def test_what_is_told_names_the_camera_or_stage_and_the_value(tmp_path: Path, uid: str) -> None:
    """Grafana expands the texts with Prometheus' engine; only that it has a value for each question, not one in all."""
    value, summary, description = SAID[uid]
    (rule,) = (rule for rule in rules("folder", Settings()) if rule["uid"] == f"affectstream-{uid}")
    told = {
        "summary": summary,
        "description": description,
        "dashboard": f"https://grafana.example/d/affectstream-{LINKS[uid]}",
    }
    known = {".Values.A.Value": ".Value", "{{ externalURL }}": "https://grafana.example/"}  # promtool has no address
    texts = {name: rule["annotations"][name] for name in told}
    for ours, theirs in known.items():
        texts = {name: text.replace(ours, theirs) for name, text in texts.items()}
    made = f'made{{camera={json.dumps(QUOTED)}, stage="detect"}}'
    labels = {"camera": QUOTED, "stage": "detect"}
    evaluated(tmp_path, {"expr": "made", "annotations": texts}, {made: f"{value}x20"}, [(labels, told)])


class _Strict(msgspec.Struct, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """What Grafana reads of a file; it says nothing of what it does not know, we do."""


class Span(_Strict):
    from_: int = msgspec.field(name="from")
    to: int


class Question(_Strict):
    ref_id: str
    datasource_uid: Literal["affectstream-postgres", "affectstream-prometheus", "__expr__"]
    relative_time_range: Span
    model: dict[str, Any]


class Rule(_Strict):
    uid: Annotated[str, msgspec.Meta(pattern=r"^[\w-]{1,40}$")]
    title: Annotated[str, msgspec.Meta(min_length=1, max_length=190)]
    condition: str
    data: list[Question]
    for_: Annotated[str, msgspec.Meta(pattern=r"^(\d+[smh])+$")] = msgspec.field(name="for")
    no_data_state: Literal["Alerting", "NoData", "OK"]
    exec_err_state: Literal["Alerting", "Error", "OK"]
    annotations: dict[str, str]
    labels: dict[str, str]
    is_paused: bool
    dashboard_uid: str
    panel_id: int


class Group(_Strict):
    org_id: Literal[1]
    name: str
    folder: Literal["affectstream"]
    interval: Annotated[str, msgspec.Meta(pattern=r"^\d+s$")]
    rules: list[Rule]


class File(_Strict):
    api_version: Literal[1]
    groups: list[Group]


def test_the_file_is_made_from_the_rules_and_is_what_grafana_reads() -> None:
    text = (FOLDER / "affectstream.yaml").read_text(encoding="utf-8")
    hint = "run: affectstream dashboards export-alerts dashboards/provisioning/alerting/affectstream.yaml"
    assert text == provisioning("affectstream", Settings()), hint
    (group,) = msgspec.convert(yaml.safe_load(text), File).groups
    assert [rule.uid for rule in group.rules] == [alert.uid for alert in ALERTS]


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.uid)
def test_a_rule_is_whole(alert: Alert) -> None:
    (rule,) = (rule for rule in rules("folder", Settings()) if rule["uid"] == alert.uid)
    question, threshold = rule["data"]
    assert question["model"]["refId"] == question["refId"] == threshold["model"]["expression"] == "A"
    assert rule["condition"] == threshold["refId"] == threshold["model"]["refId"]
    assert threshold["model"]["conditions"][0]["evaluator"] == {"params": [alert.above], "type": "gt"}
    assert (rule["noDataState"], rule["execErrState"]) == ("OK", "Error")
    assert rule["labels"]["severity"] in {"warning", "critical"}
    annotations = rule["annotations"]
    assert "{{ .Labels." in annotations["summary"]
    assert alert.uid == "affectstream-missing" or ".Values.A.Value" in annotations["description"]
    # A file's texts have $… replaced by variables of the environment; {{ .Values }} needs none.
    assert "$" not in json.dumps(annotations)
    panels = {panel["id"]: panel for panel in BOARDS[annotations["__dashboardUid__"]]["panels"]}
    assert panels[int(annotations["__panelId__"])]["title"] == alert.panel[1]
    uid, _, variables = annotations["dashboard"].removeprefix("{{ externalURL }}d/").partition("?")
    assert uid in BOARDS
    names = {variable["name"] for variable in BOARDS[uid]["templating"]["list"]}
    assert not variables or variables.partition("=")[0].removeprefix("var-") in names


def test_the_example_of_a_contact_point_is_one_once_it_is_given_its_name() -> None:
    text = (FOLDER / "contact-point.yaml.example").read_text(encoding="utf-8")
    content = yaml.safe_load(text)
    (point,) = content["contactPoints"]
    (receiver,) = point["receivers"]
    assert (receiver["type"], receiver["settings"]["url"]) == ("webhook", "${ALERT_WEBHOOK}")
    (policy,) = content["policies"]
    assert policy["receiver"] == point["name"]
    assert not list(FOLDER.glob("contact*.yaml")), "no default address"
