"""What the workers tell is what the Pipeline dashboard and the alert rules ask a real Prometheus for."""

import re
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import pytest

from contracts.settings import Settings
from dashboards.grafana.alerts import alerts
from dashboards.grafana.catalog import Asked, queries
from dashboards.grafana.macros import interpolate
from pipeline.supervisor import Task
from tests.pipeline.distributed.cluster import Cluster
from tests.services.processes import free_port
from tests.services.prometheus import MISSING, Prometheus, prometheus_program, prometheus_server

pytestmark = [pytest.mark.xdist_group("kafka"), pytest.mark.timeout(300), pytest.mark.slow]

STAGES: Final = ("detect", "classify", "aggregate")
ASKED: Final = [query for query in queries(Settings()) if query.language == "promql"]
RULES: Final = {
    alert.uid: str(alert.query.content["expr"]) for alert in alerts(Settings()) if "expr" in alert.query.content
}
VARIABLES: Final = {"camera": ["door"], "__rate_interval": "10s", "__range": "1m", "__interval": "1s"}
Series = list[dict[str, Any]]


class Replayed:
    """The first answer to each question that had series, and Prometheus after the workers have ended."""

    def __init__(self, prometheus: Prometheus, answers: Mapping[str, Series], before: Series) -> None:
        self.prometheus: Final = prometheus
        self.answers: Final = answers
        self.before: Final = before
        """Dead letters, before the first frame."""


def expression(query: Asked) -> str:
    return interpolate(query.text, VARIABLES)


@pytest.fixture(scope="module")
def replayed(place: Cluster) -> Iterator[Replayed]:
    if prometheus_program() is None:
        pytest.skip(MISSING)
    place.fresh({"detector_name": "haar", "detector_workers": 1})
    base = (sys.executable, "-m", "pipeline")
    ports = {kind: free_port() for kind in (*STAGES, "replay")}
    environments = {kind: {**place.environment, "AFFECTSTREAM_WORKER_PORT": str(port)} for kind, port in ports.items()}
    workers = [Task(kind, (*base, kind), group=kind, environment=environments[kind]) for kind in STAGES]
    # At its own pace and with the present as its time, as a camera: else nothing is known of how late it is.
    flags = ("--camera", "door", "--wait", "--pace", "realtime", "--start", "now")
    replay = Task(
        "replay", (*base, "replay", "demo:15", *flags), group="replay", once=True, environment=environments["replay"]
    )
    targets = [f"127.0.0.1:{port}" for port in ports.values()]
    with prometheus_server(targets, every="500ms") as prometheus:
        with place.workers(0, sys.stderr, others=workers):
            born = "affectstream_dead_letters_total"
            _until(lambda: {one["metric"]["stage"] for one in prometheus.ask(born)} == set(STAGES))
            before = prometheus.ask(born)
            with place.workers(0, sys.stderr, others=[replay]):
                answers = _answers(prometheus, [*map(expression, ASKED), RULES["affectstream-lag"]])
            assert prometheus.ask(RULES["affectstream-missing"]) == []
        yield Replayed(prometheus, answers, before)


def _answers(prometheus: Prometheus, expressions: Sequence[str], seconds: float = 90) -> dict[str, Series]:
    """Asks each until it has an answer with numbers in it, or the time is up."""
    answers: dict[str, Series] = {}
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and len(answers) < len(set(expressions)):
        for one in set(expressions) - answers.keys():
            found = prometheus.ask(one)
            if any(series["value"][1] != "NaN" for series in found):
                answers[one] = found
        time.sleep(0.3)
    return answers


def _until(true: Any, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.2)


@pytest.mark.parametrize("query", ASKED, ids=str)
def test_each_panel_has_something_to_show(query: Asked, replayed: Replayed) -> None:
    series = replayed.answers.get(expression(query), [])
    assert series, query.text
    by = re.match(r"sum by \((\w+)\)", query.text)
    assert not by or all(by[1] in one["metric"] for one in series)


def test_what_never_happened_is_there_as_zero_before_the_first_frame(replayed: Replayed) -> None:
    assert {one["metric"]["stage"]: one["value"][1] for one in replayed.before} == dict.fromkeys(STAGES, "0")


def test_lag_is_told_of_every_stage(replayed: Replayed) -> None:
    behind = replayed.answers[RULES["affectstream-lag"]]
    assert {one["metric"]["stage"] for one in behind} <= set(STAGES)
    everybody = replayed.prometheus.ask("sum by (stage) (count_over_time(affectstream_lag[2m]))")
    assert {one["metric"]["stage"] for one in everybody} == set(STAGES)


def test_workers_that_have_ended_are_missed(replayed: Replayed) -> None:
    def missing() -> set[str]:
        return {one["metric"]["stage"] for one in replayed.prometheus.ask(RULES["affectstream-missing"])}

    _until(lambda: missing() == set(STAGES))
