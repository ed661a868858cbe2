"""What a worker shows to its supervisor: health, metrics, and a good end when it is asked to."""

import json
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request

import pytest

from contracts.errors import SettingsError
from contracts.settings import WorkerSettings
from pipeline.workers.shell import ALIVE, Shell


def get(shell: Shell, page: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{shell.port}{page}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_it_says_where_it_serves_and_what_its_state_is(capfd: pytest.CaptureFixture[str]) -> None:
    with Shell("detect", WorkerSettings()) as shell:
        said = capfd.readouterr().err
        assert said == f"affectstream detect: serving health and metrics on http://127.0.0.1:{shell.port}\n"
        assert get(shell, "/ready")[0] == 503
        shell.ready.set()
        status, body = get(shell, "/ready")
        assert (status, json.loads(body)["worker"]) == (200, "detect")
        assert get(shell, "/live")[0] == 200
        assert "affectstream_frames_total" in get(shell, "/metrics")[1]
        assert get(shell, "/else")[0] == 404


def test_without_a_beat_it_counts_as_hung(monkeypatch: pytest.MonkeyPatch) -> None:
    with Shell("detect", WorkerSettings()) as shell:
        shell._beaten -= ALIVE + 1
        assert get(shell, "/live")[0] == 503
        shell.beat()
        assert get(shell, "/live")[0] == 200


WORKER = """
import time
from contracts.settings import WorkerSettings
from pipeline.workers.shell import Shell
with Shell("detect", WorkerSettings()) as shell:
    print("ready", flush=True)
    shell.stopping.wait(60)
    print("stopping", flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_first_signal_asks_and_the_second_insists(number: signal.Signals) -> None:
    worker = subprocess.Popen(
        [sys.executable, "-c", WORKER], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert worker.stdout is not None
    assert worker.stdout.readline() == "ready\n"
    worker.send_signal(number)
    assert worker.stdout.readline() == "stopping\n"
    assert worker.poll() is None
    worker.send_signal(number)
    assert worker.wait(20) != 0


def test_a_port_that_is_taken_is_a_wrong_setting() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with (
            pytest.raises(SettingsError, match=rf"worker\.port: .* 127\.0\.0\.1:{port}"),
            Shell("detect", WorkerSettings(port=port)),
        ):
            pass
