"""What goes wrong ends in one clear line on stderr and the right exit code, and leaves the database readable."""

import json
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path

import pytest

from classifier.folders import bundled
from tests.ingest.making import record
from tests.pipeline.conftest import Command, Outcome, select
from tests.services.disks import small_disk, unwritable
from tests.services.processes import free_port

pytestmark = pytest.mark.xdist_group("tensorflow")

STEADY = range(0, 8000, 40)


def one_line(done: Outcome, code: int) -> str:
    """The line, if that is all there is on stderr."""
    assert done.code == code, done.err
    lines = done.err.splitlines()
    assert len(lines) == 1, done.err
    assert lines[0].startswith("affectstream: ")
    assert "Traceback" not in done.err
    return lines[0].removeprefix("affectstream: ")


def _directory(folder: Path) -> str:
    (folder / "videos").mkdir()
    return "videos"


def _empty(folder: Path) -> str:
    (folder / "empty.mp4").touch()
    return "empty.mp4"


def _text(folder: Path) -> str:
    (folder / "text.mp4").write_text("this is no video\n" * 100)
    return "text.mp4"


def _no_frames(folder: Path) -> str:
    record(folder / "none.mp4", [])
    return "none.mp4"


def _half_of_the_end(folder: Path) -> str:
    """The index of an MP4 is at its end, so that half of it cannot be read at all."""
    whole = record(folder / "whole.mp4", STEADY).read_bytes()
    (folder / "half.mp4").write_bytes(whole[: len(whole) // 2])
    return "half.mp4"


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda folder: "missing.mp4", "missing.mp4: there is no such file"),
        (_directory, "videos is a folder"),
        (_empty, "empty.mp4"),
        (_text, "text.mp4 is not a video"),
        (_no_frames, "none.mp4"),
        (_half_of_the_end, "half.mp4"),
        (lambda folder: "gopher://host/x", "cannot read this kind of address"),
    ],
)
def test_a_source_that_is_no_video_is_bad_input(
    affectstream: Command, tmp_path: Path, make: Callable[[Path], str], said: str
) -> None:
    assert said in one_line(affectstream("run", make(tmp_path)), 2)
    assert not (tmp_path / "affectstream.db").exists()


def test_of_a_video_cut_in_half_the_good_half_is_processed_and_the_loss_is_said(
    affectstream: Command, tmp_path: Path
) -> None:
    whole = record(tmp_path / "whole.mp4", STEADY, options={"movflags": "faststart"}).read_bytes()
    (tmp_path / "half.mp4").write_bytes(whole[: len(whole) // 2])
    done = affectstream("run", "half.mp4", "--json")
    line = one_line(done, 1)
    assert "half.mp4" in line
    frames = done.object["frames"]
    assert 60 < frames < 140
    ((status, stored, error),) = select(tmp_path / "affectstream.db", "SELECT status, frames, error FROM run")
    assert (status, stored) == ("failed", frames)
    assert error in line


def test_a_bad_source_among_good_ones_stops_everything_before_it_begins(affectstream: Command, tmp_path: Path) -> None:
    assert "missing.mp4" in one_line(affectstream("run", "demo:1", "missing.mp4"), 2)
    assert not (tmp_path / "affectstream.db").exists()


def test_a_camera_where_nobody_is_fails_at_once(affectstream: Command) -> None:
    line = one_line(affectstream("run", f"rtsp://user:geheim@127.0.0.1:{free_port()}/live"), 1)
    assert "127.0.0.1" in line
    assert "geheim" not in line


def test_a_webcam_that_is_not_there_fails_at_once(affectstream: Command) -> None:
    assert "webcam" in one_line(affectstream("run", "97"), 1)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run"], "Missing argument"),
        (["run", "demo", "--nope"], "No such option"),
        (["run", "demo", "--detector", "magic"], "magic"),
        (["run", "demo", "--window", "0"], "aggregator.windows"),
        (["run", "demo", "--start", "whenever"], "whenever"),
        (["run", "demo", "--db", "mysql://host/x"], "mysql"),
        (["run", "demo", "demo", "--camera", "a"], "--camera"),
        (["run", "demo", "demo", "--camera", "a", "--camera", "a"], "'a'"),
        (["run", "demo", "--model", "nope"], "no model 'nope'"),
        (["--config", "nowhere.toml", "run", "demo"], "nowhere.toml"),
        (["fly"], "No such command"),
        (["evaluate", "--data", "nowhere.npz"], "nowhere.npz"),
    ],
)
def test_wrong_words_on_the_command_line_are_bad_input(affectstream: Command, arguments: list[str], said: str) -> None:
    assert said in one_line(affectstream(*arguments), 2)


def test_the_settings_are_shown_without_passwords_unless_they_are_asked_for(
    affectstream: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert affectstream("settings").err == ""
    monkeypatch.setenv("AFFECTSTREAM_STORAGE_URL", "postgresql://me:geheim@host/faces")
    shown = affectstream("settings")
    assert (shown.code, shown.err.count("\n"), "--secrets" in shown.err) == (0, 1, True)
    assert 'url = "postgresql://***@host/faces"' in shown.out
    whole = affectstream("settings", "--secrets")
    assert (whole.code, whole.err) == (0, "")
    assert 'url = "postgresql://me:geheim@host/faces"' in whole.out


def test_an_unknown_key_in_the_settings_file_is_named(affectstream: Command, tmp_path: Path) -> None:
    (tmp_path / "affectstream.toml").write_text("[detector]\nnmae = 'haar'\n")
    assert "affectstream.toml: unknown key 'detector.nmae'; did you mean 'detector.name'?" in one_line(
        affectstream("run", "demo"), 2
    )


@pytest.mark.parametrize("damage", ["missing", "half", "no card"])
def test_a_model_folder_that_is_not_whole_is_refused(affectstream: Command, tmp_path: Path, damage: str) -> None:
    folder = Path(shutil.copytree(bundled()["default"], tmp_path / "mine"))
    weights = folder / "model.keras"
    if damage == "missing":
        weights.unlink()
    elif damage == "half":
        weights.write_bytes(weights.read_bytes()[:100_000])
    else:
        (folder / "model.json").unlink()
    assert "mine" in one_line(affectstream("run", "demo", "--model", "mine"), 2)


@contextmanager
def _of_another_program(folder: Path) -> Iterator[str]:
    with closing(sqlite3.connect(folder / "notes.db")) as connection:
        connection.execute("CREATE TABLE note (body TEXT)")
        connection.commit()
    yield "notes.db"


@contextmanager
def _newer(folder: Path) -> Iterator[str]:
    from contracts.settings import StorageSettings
    from storage import open_store

    open_store(StorageSettings(url=str(folder / "newer.db"))).close()
    with closing(sqlite3.connect(folder / "newer.db")) as connection:
        connection.execute("UPDATE affectstream_version SET version_num = '9999'")
        connection.commit()
    yield "newer.db"


@contextmanager
def _read_only(folder: Path) -> Iterator[str]:
    from contracts.settings import StorageSettings
    from storage import open_store

    open_store(StorageSettings(url=str(folder / "kept.db"))).close()
    with unwritable(folder / "kept.db"):
        yield "kept.db"


@pytest.mark.parametrize(
    ("database", "said"),
    [(_of_another_program, "another program"), (_newer, "newer affectstream"), (_read_only, "kept.db")],
)
def test_a_database_that_cannot_be_used_is_left_as_it_is(
    affectstream: Command, tmp_path: Path, database: Callable[[Path], AbstractContextManager[str]], said: str
) -> None:
    with database(tmp_path) as name:
        before = (tmp_path / name).read_bytes()
        assert said in one_line(affectstream("run", "demo:2", "--db", name), 1)
        assert (tmp_path / name).read_bytes() == before


def test_a_full_disk_ends_the_run_and_keeps_what_was_stored(affectstream: Command, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", size="600k") as disk:
        line = one_line(affectstream("run", "demo:60", "--db", disk / "small.db"), 1)
        assert "full" in line
        shutil.copytree(disk, tmp_path / "copy")
    ((runs, rows),) = select(
        tmp_path / "copy" / "small.db", "SELECT (SELECT count(*) FROM run), (SELECT count(*) FROM observation)"
    )
    assert runs == 1
    assert rows > 25  # a slow machine stores fewer at a time, and each time takes room


def test_json_goes_to_stdout_and_nothing_else_does(affectstream: Command) -> None:
    done = affectstream("run", "demo:1", "--json")
    assert json.loads(done.out)["frames"] == 25
