"""The alert rules: one description each, from which come Grafana's provisioning file and the bodies for its HTTP API.

A rule asks one question, whose every row is an alert of its own: its text columns are the alert's labels, its number is
what is compared. Where nothing is asked about there are no rows, and all is well; where the question cannot be asked,
the rule is in error, which is told by Grafana as an alert of its own.
"""
# ruff: noqa: S608  (the SQL is put together from constants)

import json
from dataclasses import dataclass
from typing import Any, Final, Literal

from grafana_foundation_sdk.builders import alerting, expr
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.alerting import RelativeTimeRange
from grafana_foundation_sdk.models.dashboard import DataSourceRef

from contracts.settings import Settings
from dashboards.grafana.asking import POSTGRES, PROMETHEUS, Query, promql, sql
from dashboards.grafana.catalog import Boards, dashboards
from dashboards.grafana.windows import Windows

GROUP: Final = "affectstream"
INTERVAL: Final = 60
"""Seconds from one look to the next."""
IN_FILES: Final = (
    *("uid", "title", "condition", "data", "for", "noDataState", "execErrState"),
    *("annotations", "labels", "isPaused"),
)
EXPRESSIONS: Final = DataSourceRef("__expr__", "__expr__")

MINUTE: Final = 60
STRESS_ABOVE: Final = 0.5
STRESS_OVER: Final = 10 * MINUTE
"""Or as long as it takes to see a window, where they are long."""
STRESS_SEEN: Final = 30
"""Seconds of people that must have been observed: less says nothing."""
SILENT_FOR: Final = 5 * MINUTE
"""Beyond the shortest window: of one that goes on nothing is stored yet."""
SILENT_WITHIN: Final = 24 * 60 * MINUTE
DEAD_OVER: Final = 15 * MINUTE
BEHIND: Final = MINUTE

STRESS: Final = (
    "SELECT camera_id AS camera, sum(stress_ratio * seconds_observed) / sum(seconds_observed) AS value "
    "FROM (SELECT *, min(window_seconds) OVER (PARTITION BY camera_id) AS shortest FROM camera_window "
    "WHERE $__timeFilter(window_start)) AS windows "  # every length covers all the time: one is enough
    "WHERE window_seconds = shortest AND stress_ratio IS NOT NULL "
    f"GROUP BY camera_id HAVING sum(seconds_observed) >= {STRESS_SEEN} ORDER BY camera_id"
)
SILENT: Final = (
    "SELECT camera_id AS camera, extract(epoch FROM $__timeTo()::timestamptz - last_seen)::float8 AS value "
    "FROM camera_summary WHERE live AND status IN ('running', 'lost', 'failed') AND $__timeFilter(last_seen) "
    "ORDER BY camera_id"
)
DEAD: Final = (
    "SELECT camera_id AS camera, count(*)::float8 AS value FROM dead_frame "
    "WHERE $__timeFilter(captured_at) GROUP BY camera_id ORDER BY camera_id"
)
WAITING: Final = "sum by (stage) (max by (stage, shard) (affectstream_lag))"  # each detector reports every shard
DONE: Final = "sum by (stage) (rate(affectstream_frames_total[5m]))"
BACKLOG: Final = f"{WAITING} / clamp_min({DONE} or {WAITING} * 0, 0.01)"
MISSING: Final = " or ".join(
    f'absent(affectstream_dead_letters_total{{stage="{stage}"}})' for stage in ("detect", "classify", "aggregate")
)


@dataclass(frozen=True)
class Alert:
    """A question, the value above which its answer is an alert, and what is said then."""

    uid: str
    title: str
    query: Query
    source: DataSourceRef
    seconds: int  # how far back the question looks
    above: float
    lasts: str  # for how long, before it is told
    severity: Literal["warning", "critical"]
    summary: str
    description: str
    panel: tuple[str, str]  # UID of a dashboard, title of its panel
    address: str  # of a dashboard, with the variables that choose what the alert is about


def alerts(settings: Settings) -> tuple[Alert, ...]:
    """The rules. How far they look back follows the windows of the settings."""
    windows = Windows(settings)
    stress_over = max(STRESS_OVER, windows.fresh)
    return (
        Alert(
            uid="affectstream-stress", title="Stress at a camera",
            query=sql(STRESS), source=POSTGRES, seconds=stress_over, above=STRESS_ABOVE, lasts="5m", severity="warning",
            summary="Much stress at camera {{ .Labels.camera }}",
            description=f"{{{{ humanizePercentage .Values.A.Value }}}} of the time observed in the last "
            f"{stress_over // MINUTE} minutes was spent in the stressed state (the limit is {STRESS_ABOVE:.0%}). "
            "An indicator computed from expressions, not a diagnosis.",
            panel=("affectstream-camera", "Stress and happiness over time"),
            address="affectstream-camera?var-camera={{ urlquery .Labels.camera }}",
        ),
        Alert(
            uid="affectstream-silent", title="A camera is silent",
            query=sql(SILENT), source=POSTGRES, seconds=SILENT_WITHIN, above=SILENT_FOR + windows.shortest, lasts="1m",
            severity="critical",
            summary="Nothing comes from camera {{ .Labels.camera }}",
            description="Nothing has been stored of it for {{ humanizeDuration .Values.A.Value }}. Is the camera on, "
            "does `affectstream cameras list` show a worker that reads it, and do all workers run?",
            panel=("affectstream-pipeline", "Connections of the cameras"),
            address="affectstream-pipeline?var-camera={{ urlquery .Labels.camera }}",
        ),
        Alert(
            uid="affectstream-dead-letters", title="Dead letters",
            query=sql(DEAD), source=POSTGRES, seconds=DEAD_OVER, above=0, lasts="0s", severity="warning",
            summary="Frames of camera {{ .Labels.camera }} could not be processed",
            description=f'{{{{ .Values.A.Value | printf "%.0f" }}}} frames of the last {DEAD_OVER // MINUTE} minutes '
            "were given up. `affectstream dead-letters list` says why.",
            panel=("affectstream-pipeline", "Frames given up"),
            address="affectstream-pipeline?var-camera={{ urlquery .Labels.camera }}",
        ),
        Alert(
            uid="affectstream-lag", title="A stage falls behind",
            query=promql(BACKLOG, instant=True), source=PROMETHEUS, seconds=10 * MINUTE, above=BEHIND, lasts="5m",
            severity="warning",
            summary="{{ .Labels.stage }} falls behind",
            description="What waits for it is work for {{ humanizeDuration .Values.A.Value }} at its present pace (the "
            f"limit is {BEHIND} s). Start more of these workers (docs/scaling.md), or look what holds them up.",
            panel=("affectstream-pipeline", "Waiting by stage"),
            address="affectstream-pipeline",
        ),
        Alert(
            uid="affectstream-missing", title="No worker of a kind",
            query=promql(MISSING, instant=True), source=PROMETHEUS, seconds=10 * MINUTE, above=0, lasts="5m",
            severity="critical",
            summary="No {{ .Labels.stage }} worker is there",
            description="Prometheus reaches none, so that nothing goes beyond the stage before it. Start one, or see "
            "why it ends: `docker compose logs {{ .Labels.stage }}`.",
            panel=("affectstream-pipeline", "Frames by stage"),
            address="affectstream-pipeline",
        ),
    )  # fmt: skip


def rules(folder_uid: str, settings: Settings) -> list[dict[str, Any]]:
    """The bodies of the rules for the provisioning API."""
    boards = dashboards(settings)
    return [_rule(alert, folder_uid, _panel(alert, boards)) for alert in alerts(settings)]


def provisioning(folder: str, settings: Settings) -> str:
    """The rules as a provisioning file, in YAML. `folder` is the title of theirs."""
    import yaml

    written = []
    for rule in rules("", settings):
        annotations = rule["annotations"]
        # A link is two annotations for the API; a file that Grafana exports has two fields besides.
        link = {"dashboardUid": annotations["__dashboardUid__"], "panelId": int(annotations["__panelId__"])}
        written.append({key: rule[key] for key in IN_FILES} | link)
    group = {"orgId": 1, "name": GROUP, "folder": folder, "interval": f"{INTERVAL}s", "rules": written}
    content = {"apiVersion": 1, "groups": [group]}
    return str(yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=116))


def _panel(alert: Alert, boards: Boards) -> tuple[str, int]:
    """UID of the dashboard and number of the panel. Raises LookupError where there is no such panel."""
    uid, title = alert.panel
    number = next((panel["id"] for panel in boards[uid]["panels"] if panel["title"] == title), None)
    if number is None:
        raise LookupError(f"{alert.uid}: no panel {title!r} on {uid}")
    return uid, number


def _rule(alert: Alert, folder_uid: str, panel: tuple[str, int]) -> dict[str, Any]:
    span = RelativeTimeRange(from_val=alert.seconds, to=0)
    question = alerting.Query("A").datasource_uid(str(alert.source.uid)).relative_time_range(span).model(alert.query)
    evaluator = expr.ExprTypeThresholdConditionsEvaluator().type("gt").params([alert.above])
    threshold = (
        expr.TypeThreshold()
        .datasource(EXPRESSIONS)
        .expression("A")
        .conditions([expr.ExprTypeThresholdConditions().evaluator(evaluator)])
        .ref_id("C")
    )
    condition = alerting.Query("C").datasource_uid("__expr__").relative_time_range(RelativeTimeRange(0, 0))
    rule = (
        alerting.Rule(alert.title)
        .uid(alert.uid)
        .org_id(1)
        .folder_uid(folder_uid)
        .rule_group(GROUP)
        .queries([question, condition.model(threshold)])
        .condition("C")
        .for_val(alert.lasts)
        .no_data_state("OK")
        .exec_err_state("Error")
        .is_paused(False)
        .labels({"severity": alert.severity, "service": "affectstream"})
        .annotations(
            {
                "summary": alert.summary,
                "description": alert.description,
                "dashboard": f"{{{{ externalURL }}}}d/{alert.address}",
                "__dashboardUid__": panel[0],
                "__panelId__": str(panel[1]),
            }
        )
    )
    plain: dict[str, Any] = json.loads(json.dumps(rule.build(), cls=JSONEncoder))
    return plain
