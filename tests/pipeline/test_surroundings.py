"""What surrounds a command may be odd: streams that are closed, letters that are missing, a folder that is gone."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DEMO = "run demo:1 --detector haar"


def shell(folder: Path, command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """What a shell makes of `affectstream …`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AFFECTSTREAM_")}
    return subprocess.run(
        ["bash", "-c", f'affectstream() {{ "{sys.executable}" -m pipeline "$@"; }}; {command}'],
        cwd=folder, env=kept | {"PYTHONPATH": str(ROOT)} | environment, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("command", ["models list >&-", f"{DEMO} >&-", f"{DEMO} --json 2>&-", "cameras add x - <&-"])
def test_a_stream_that_is_closed_is_no_fault(tmp_path: Path, command: str) -> None:
    done = shell(tmp_path, f"affectstream {command}")
    assert "unexpected" not in done.stdout + done.stderr
    assert done.returncode == (2 if "cameras" in command else 0)


def test_what_is_said_never_goes_to_stdout_for_want_of_a_stderr(tmp_path: Path) -> None:
    done = shell(tmp_path, "affectstream run missing.mp4 2>&-")
    assert (done.returncode, done.stdout) == (2, "")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_letters_that_the_locale_lacks_are_replaced(tmp_path: Path, encoding: str) -> None:
    done = shell(tmp_path, f"affectstream {DEMO} --db 会議.db", PYTHONIOENCODING=encoding)
    assert (done.returncode, done.stderr) == (0, "")
    assert "The data is in ??.db" in done.stdout


def test_a_current_folder_that_is_gone_is_said(tmp_path: Path) -> None:
    done = shell(tmp_path, f"mkdir gone; cd gone; rmdir ../gone; affectstream {DEMO}")
    assert done.returncode == 1
    assert done.stderr == "affectstream: the current folder is not there any more; change to one that is\n"


def test_ctrl_c_twice_ends_a_run_at_once_and_without_a_word(tmp_path: Path) -> None:
    for number in range(3):  # what the threads are at then is left to chance
        database = f"{number}.db"
        with subprocess.Popen(
            [sys.executable, "-m", "pipeline", "run", "demo:600", "--detector", "haar", "--db", database], cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(ROOT)}, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        ) as process:  # fmt: skip
            while not (tmp_path / f"{database}-wal").exists():
                assert process.poll() is None
                time.sleep(0.1)
            time.sleep(2)  # until the threads are at work
            for _ in range(2):
                process.send_signal(signal.SIGTERM)
                time.sleep(0.05)
            assert (process.wait(30), process.communicate()[1]) == (130, "")
