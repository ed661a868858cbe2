"""What dies is started again, what does not live is given up, and nothing is left behind."""

import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.supervisor import Patience, Supervisor, Task

QUICK = Patience(first=0.1, most=0.4, quick=2.0, deaths=4, grace=1.0)
OBEDIENT = """
import signal, sys, time
def end(*_):
    print("ending", flush=True)
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
print("ready", flush=True)
while True:
    time.sleep(0.05)
"""
DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); time.sleep(99)"


def task(name: str, program: str, group: str = "", *, once: bool = False) -> Task:
    return Task(name, (sys.executable, "-c", program), group=group or name, once=once)


def until(condition: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "that took too long"
        time.sleep(0.02)


def running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return f"{pid} (" in Path(f"/proc/{pid}/stat").read_text() and ") Z" not in Path(f"/proc/{pid}/stat").read_text()


def test_a_killed_process_is_started_again_and_the_others_are_left_alone() -> None:
    out = io.StringIO()
    with Supervisor([task("one", OBEDIENT), task("two", OBEDIENT)], QUICK, out=out) as supervisor:
        until(lambda: out.getvalue().count("ready") == 2)
        before = dict(supervisor.alive)
        assert supervisor.kill("one")
        until(lambda: out.getvalue().count("ready") == 3)
        assert supervisor.alive["two"] == before["two"]
        assert supervisor.alive["one"] != before["one"]
        assert supervisor.restarts == {"one": 1, "two": 0}
    assert "up  | one was ended by SIGKILL after" in out.getvalue()
    assert "starting it again in 0.1 s" in out.getvalue()
    assert supervisor.failed is None
    assert supervisor.alive == {}


def test_one_that_cannot_be_kept_alive_ends_all() -> None:
    out = io.StringIO()
    broken = task("broken", "import sys; print('no such server', file=sys.stderr); sys.exit(3)")
    started = time.monotonic()
    with Supervisor([task("fine", OBEDIENT), broken], QUICK, out=out) as supervisor:
        assert supervisor.wait(20)
    assert supervisor.failed == "broken"
    said = out.getvalue()
    assert said.count("broken | no such server") == 4
    assert "broken ended with 3, 4 times within 2 s of its start: giving up" in said
    assert "fine   | ending" in said
    assert time.monotonic() - started > 0.1 + 0.2 + 0.4  # it waited longer each time


def test_one_that_dies_now_and_then_is_never_given_up() -> None:
    out = io.StringIO()
    patience = Patience(first=0.05, most=0.1, quick=0.1, deaths=2)
    with Supervisor([task("mortal", "import time; time.sleep(0.3)")], patience, out=out) as supervisor:
        until(lambda: supervisor.restarts["mortal"] >= 4)
    assert supervisor.failed is None


def test_they_end_group_by_group_in_the_reverse_order() -> None:
    out = io.StringIO()
    slow = OBEDIENT.replace("sys.exit(0)", "time.sleep(0.3); print('gone', flush=True); sys.exit(0)")
    tasks = [task("last", slow), task("mid-1", slow, "mid"), task("mid-2", slow, "mid"), task("first", slow)]
    with Supervisor(tasks, QUICK, out=out):
        until(lambda: out.getvalue().count("ready") == 4)
    words = [line.split(" | ") for line in out.getvalue().splitlines()]
    ends = [(name.strip(), what) for name, what in words if what != "ready"]
    assert ends[:2] == [("first", "ending"), ("first", "gone")]
    assert set(ends[2:4]) == {("mid-1", "ending"), ("mid-2", "ending")}  # together
    assert ends[6:] == [("last", "ending"), ("last", "gone")]


def test_one_that_does_not_end_is_killed_after_its_time() -> None:
    out = io.StringIO()
    with Supervisor([task("deaf", DEAF)], QUICK, out=out) as supervisor:
        until(lambda: "ready" in out.getvalue())
        pid = supervisor.alive["deaf"]
        started = time.monotonic()
    assert 0.9 < time.monotonic() - started < 3
    assert not running(pid)
    assert "deaf has not ended within 1 s: killed" in out.getvalue()


def test_asked_twice_all_are_killed_at_once() -> None:
    out = io.StringIO()
    with Supervisor([task("deaf", DEAF)], Patience(), out=out) as supervisor:
        until(lambda: "ready" in out.getvalue())
        supervisor.stop()
        assert not supervisor.wait(0.3)
        supervisor.stop(at_once=True)
        assert supervisor.wait(2)


def test_what_is_done_is_not_started_again() -> None:
    out = io.StringIO()
    with Supervisor([task("job", "print('done')", once=True)], QUICK, out=out) as supervisor:
        assert supervisor.wait(10)
    assert out.getvalue() == "job | done\n"
    assert supervisor.restarts == {"job": 0}


def test_every_line_is_passed_on_whole_whatever_bytes_are_in_it() -> None:
    out = io.StringIO()
    program = r"import os; os.write(1, b'caf\xc3\xa9 \xff\n' + b'x' * 100_000 + b'\nno end')"
    with Supervisor([task("job", program, once=True)], QUICK, out=out) as supervisor:
        assert supervisor.wait(10)
    assert out.getvalue().splitlines() == ["job | café \ufffd", "job | " + "x" * 100_000, "job | no end"]


def test_children_of_a_dead_process_die_with_it() -> None:
    out = io.StringIO()
    child = "import subprocess, sys; p = subprocess.Popen(['sleep', '99']); print(p.pid, flush=True); p.wait()"
    with Supervisor([task("parent", child)], QUICK, out=out) as supervisor:
        until(lambda: "|" in out.getvalue())
        pid = int(out.getvalue().split("|")[1])
        supervisor.kill("parent")
        until(lambda: not running(pid))


def test_a_killed_supervisor_takes_its_processes_along() -> None:
    program = f"""
from pipeline.supervisor import Supervisor, Task
import sys
with Supervisor([Task("one", (sys.executable, "-c", {OBEDIENT!r}))], out=sys.stdout) as supervisor:
    import time
    while not supervisor.alive: time.sleep(0.05)
    print(supervisor.alive["one"], flush=True)
    supervisor.wait()
"""
    parent = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]
    )
    assert parent.stdout is not None
    lines = [parent.stdout.readline().strip(), parent.stdout.readline().strip()]
    pid = next(int(line) for line in lines if line.isdigit())
    parent.kill()
    parent.wait()
    parent.stdout.close()
    until(lambda: not running(pid))


def test_up_ends_everything_on_a_signal_and_counts_its_workers(tmp_path: Path) -> None:
    """With the real command line; the servers are not there, so that the workers wait or die."""
    command = [sys.executable, "-m", "pipeline", "up", "--ingest", "0", "--detect", "2"]
    environment = os.environ | {
        "AFFECTSTREAM_STORAGE_URL": "postgresql://nobody:geheim@127.0.0.1:1/x",
        "AFFECTSTREAM_REDIS_URL": "redis://:geheim@127.0.0.1:1/0",
        "AFFECTSTREAM_KAFKA_BROKERS": "127.0.0.1:1",
        "AFFECTSTREAM_DETECTOR_NAME": "haar",
    }
    process = subprocess.Popen(
        command,
        cwd=Path(__file__).parents[2],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    time.sleep(4)
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=60)
    assert "affectstream: 4 workers: aggregate-1, classify-1, detect-1, detect-2; Ctrl-C ends them" in said
    assert "geheim" not in said
    assert process.returncode in {0, 1}


@pytest.mark.parametrize(
    ("arguments", "url", "said"),
    [
        ([], "sqlite:///x.db", "storage.url: the workers share a Postgres database"),
        (
            ["--ingest", "0", "--detect", "0", "--classify", "0", "--aggregate", "0"],
            "postgresql://x/y",
            "there is nothing to do",
        ),
    ],
)
def test_up_refuses_what_cannot_work(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, arguments: list[str], url: str, said: str
) -> None:
    from pipeline.cli import main

    monkeypatch.setenv("AFFECTSTREAM_STORAGE_URL", url)
    with pytest.raises(SystemExit) as left:
        main(["up", *arguments])
    assert left.value.code == 2
    assert said in capfd.readouterr().err
