"""Pipeline: whether frames arrive, how late they are, and what was lost, by what the workers tell Prometheus."""
# ruff: noqa: S608  (put together from constants)

from typing import Final

from grafana_foundation_sdk.builders import stat, table, timeseries
from grafana_foundation_sdk.builders.dashboard import Dashboard

from dashboards.grafana.asking import CAMERAS, PROMETHEUS, camera_variable, promql, sql
from dashboards.grafana.figures import LOW
from dashboards.grafana.style import (
    CAMERA_LINK,
    COUNT,
    FACES,
    FRAMES,
    NO_METRICS,
    PART,
    RATE,
    SECONDS,
    SHARE,
    STATES,
    STRESS,
    TEXT,
    WHEN,
    Column,
    Kind,
    Says,
    coloured_texts,
    figure,
    lines,
    new_dashboard,
    rows,
)
from dashboards.grafana.windows import listed

CHOSEN: Final = "camera=~`${camera:regex}`"  # in backticks a name may have quotes in it
STAGES: Final = {
    "ingest": "#56B4E9", "detect": "#0072B2", "classify": "#CC79A7", "aggregate": "#009E73", "store": "#009E73",
}  # fmt: skip
PERCENTILES: Final = {"50 %": 0.5, "95 %": 0.95, "99 %": 0.99}
NO_TROUBLE: Final = "Nothing of the kind has happened since the workers started, or there are no metrics."


LATE: Final = "Seconds from capture until the rows were stored, which 95 % of the frames of live cameras do not exceed."
WAITING: Final = "Messages that wait before a stage. Ingest holds back at redis.backlog; live cameras then skip frames."
GIVEN_UP: Final = "Frames that became dead letters in the time range; `affectstream dead-letters` tries them again."
SKIPPED: Final = "Share of the frames of live cameras that were skipped in the time range to stay fresh."
MEAN: Final = Kind("short", 1, 0)


def pipeline() -> Dashboard:
    about = "The workers: how many frames and faces they handle, how late they are, and what they skipped or gave up."
    dashboard = new_dashboard("affectstream-pipeline", "affectstream: pipeline", about, since="now-1h", refresh="10s")
    dashboard.with_variable(camera_variable())
    for panel in (*_figures(), *_flow(), *_work(), _skipped_by_camera(), _trouble(), _connections(), _dead_frames()):
        dashboard.with_panel(panel)
    return dashboard


def _figures() -> list[stat.Panel]:
    frames, faces = f"sum({_rate('frames', _stage('ingest'))})", f"sum({_rate('faces', _stage('classify'))})"
    given_up = "sum(increase(affectstream_dead_letters_total[$__range]))"
    return [
        _figure("Frames", "Frames that come in, per second.", frames, FRAMES),
        _figure("Faces", "Faces classified, per second.", faces, FACES),
        _figure("Latency", LATE, _percentile(0.95, "latency_seconds", 'stage="store"', by="le"), SECONDS),
        _figure("Waiting", WAITING, f"sum({_waiting()})", COUNT),
        _figure("Given up", GIVEN_UP, given_up, COUNT, "none"),
        _figure("Skipped", SKIPPED, _skipped_share(), PART, "none"),
    ]


def _flow() -> list[timeseries.Panel]:
    frames, faces = (f"sum by (stage) ({_rate(what, CHOSEN)})" for what in ("frames", "faces"))
    late = f"{LATE} Here until each stage was done."
    return [
        _by_stage("Frames by stage", "Frames that each stage handles, per second.", frames, FRAMES),
        _by_stage("Faces by stage", "Faces that each stage handles, per second.", faces, FACES),
        _by_stage("Waiting by stage", WAITING, f"sum by (stage) ({_waiting()})", COUNT),
        _latency(),
        _by_stage("Latency by stage", late, _percentile(0.95, "latency_seconds"), SECONDS),
    ]


def _work() -> list[timeseries.Panel]:
    about_call = "Seconds of one call of a stage that 95 % of the calls do not exceed."
    about_busy = "How many workers of each stage are at work at the same time, on average."
    about_batch = "Faces in one call of the classifier, messages in one of the aggregator."
    busy = f"sum by (stage) ({_rate('stage_seconds_sum')})"
    batch = " / ".join(f"sum by (stage) ({_rate(f'batch_size_{part}')})" for part in ("sum", "count"))
    return [
        _by_stage("Work per call", about_call, _percentile(0.95, "stage_seconds"), SECONDS),
        _by_stage("Busy workers", about_busy, busy, MEAN),
        _by_stage("Batch size", about_batch, batch, MEAN),
    ]


def _rate(metric: str, labels: str = "") -> str:
    name = metric if metric.endswith(("_sum", "_count", "_bucket")) else f"{metric}_total"
    chosen = f"{{{labels}}}" if labels else ""
    return f"rate(affectstream_{name}{chosen}[$__rate_interval])"


def _stage(stage: str) -> str:
    return f'stage="{stage}", {CHOSEN}'


def _waiting() -> str:
    """Every worker of a stage tells of the same queues."""
    return "max by (stage, shard) (affectstream_lag)"


def _percentile(share: float, metric: str, labels: str = "", by: str = "le, stage") -> str:
    return f"histogram_quantile({share}, sum by ({by}) ({_rate(f'{metric}_bucket', labels)}))"


def _skipped_share() -> str:
    skipped, taken = (
        f"sum(increase(affectstream_{name}_total{{{labels}}}[$__range]))"
        for name, labels in (("skipped_frames", CHOSEN), ("frames", _stage("ingest")))
    )
    return f"{skipped} / ({skipped} + {taken})"


def _figure(title: str, about: str, expression: str, kind: Kind, nothing: str = "no metrics") -> stat.Panel:
    asked = [promql(expression, title, instant=True)]
    return figure(Says(title, about, asked, kind, nothing, width=4, height=LOW, source=PROMETHEUS))


def _by_stage(title: str, about: str, expression: str, kind: Kind) -> timeseries.Panel:
    asked = [promql(expression, "{{stage}}")]
    return lines(Says(title, about, asked, kind, NO_METRICS, width=8, source=PROMETHEUS), colours=STAGES)


def _latency() -> timeseries.Panel:
    asked = [
        promql(_percentile(share, "latency_seconds", 'stage="store"', by="le"), title, ref)
        for ref, (title, share) in zip("ABC", PERCENTILES.items(), strict=True)
    ]
    about = "Seconds from capture until the rows were stored: what 50, 95 and 99 % of live frames do not exceed."
    return lines(Says("Latency", about, asked, SECONDS, NO_METRICS, width=8, source=PROMETHEUS))


def _skipped_by_camera() -> timeseries.Panel:
    asked = [promql(f"sum by (camera) ({_rate('skipped_frames', CHOSEN)})", "{{camera}}")]
    about = "Frames per second that each live camera skipped to stay fresh. Many: add detect or classify workers."
    return lines(Says("Skipped by camera", about, asked, FRAMES, NO_TROUBLE, width=8, source=PROMETHEUS))


def _trouble() -> timeseries.Panel:
    asked = [
        promql(f"sum by ({label}) ({_rate(metric)})", f"{title} {{{{{label}}}}}", ref)
        for ref, (title, metric, label) in zip(
            "ABCD",
            [
                ("tried again:", "retries", "stage"),
                ("taken over:", "taken_over", "stage"),
                ("given up:", "dead_letters", "stage"),
                ("connection lost:", "reconnects", "server"),
            ],
            strict=True,
        )
    ]
    about = (
        "Messages tried again, taken over from a worker that died, and given up; connections to servers that were lost."
    )
    return lines(Says("Trouble", about, asked, RATE, NO_TROUBLE, width=24, height=7, source=PROMETHEUS))


def _connections() -> table.Panel:
    latest = "(array_agg({} ORDER BY started_at DESC))[1]"
    asked = {
        "camera": "camera_id",
        "state": latest.format("status"),
        "connections": "count(*)",
        "frames": "sum(frames)",
        "skipped": "sum(dropped)",
        "skipped share": "sum(dropped) / nullif(sum(frames + dropped), 0)",
        "until": "max(coalesce(ended_at, $__timeTo()::timestamptz))",
        "problem": latest.format("error"),
    }
    query = (
        f"SELECT {listed(asked)}\nFROM camera_run\nWHERE {CAMERAS}\n  AND started_at <= $__timeTo()::timestamptz "
        "AND coalesce(ended_at, 'infinity') >= $__timeFrom()::timestamptz\n"
        "GROUP BY camera_id\nORDER BY connections DESC, camera LIMIT 200"
    )
    columns = {
        "camera": Column(TEXT, link=CAMERA_LINK),
        "state": Column(TEXT, mapping=coloured_texts(STATES)),
        "connections": Column(COUNT),
        "frames": Column(COUNT),
        "skipped": Column(COUNT),
        "skipped share": Column(SHARE, bar=STRESS),
        "until": Column(WHEN),
        "problem": Column(TEXT),
    }
    about = (
        "Each camera's connections that reach into the time range; a camera that was lost and read again has several. "
        "Frames and skips are those of the whole connections; state and problem are of the latest."
    )
    nothing = "None of these cameras was read in this time. `affectstream cameras list` shows those that should be."
    return rows(Says("Connections of the cameras", about, [sql(query)], COUNT, nothing, width=14, height=9), columns)


def _dead_frames() -> table.Panel:
    query = (
        "SELECT camera_id AS camera, stage, reason, count(*) AS frames, max(captured_at) AS latest "
        f"FROM dead_frame WHERE {CAMERAS} AND $__timeFilter(captured_at) GROUP BY camera_id, stage, reason "
        "ORDER BY frames DESC LIMIT 200"
    )
    columns = {
        "camera": Column(TEXT, link=CAMERA_LINK),
        "stage": Column(TEXT),
        "reason": Column(TEXT),
        "frames": Column(COUNT),
        "latest": Column(WHEN),
    }
    about = "Frames captured in the time range that a stage could not process, by camera, stage and reason."
    return rows(
        Says("Frames given up", about, [sql(query)], COUNT, "No frame of this time was given up.", width=10, height=9),
        columns,
    )
