"""What is stored can be asked for: as a table, as files that say what the database says, as a picture, as a page."""

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq  # type: ignore[import-untyped]
import pytest

from contracts.emotions import COLOURS
from contracts.errors import AffectstreamError
from contracts.rows import Rows
from pipeline.cli import main
from pipeline.writing import Format, write
from storage.records import Episode
from tests.pipeline.conftest import Command, select
from tests.storage.samples import (
    SECOND,
    START,
    empty_window,
    episode,
    observation,
    opened,
    person,
    run,
    window,
)

VIEWS = {
    "windows": ("camera_window", "window_start, window_seconds, camera_id"),
    "person-windows": ("person_window", "window_start, window_seconds, camera_id, person_id"),
    "episodes": ("episode", "started_at, person_id"),
    "people": ("person_summary", "first_seen, person_id"),
    "runs": ("camera_run", "started_at, run_id"),
    "observations": ("person_moment", "captured_at, run_id, seq, person_id"),
}


@pytest.fixture(autouse=True)
def utc(in_zone: Callable[[str], None]) -> None:
    in_zone("UTC")


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The database of a real run, five seconds of the demo, with an episode put in since its people are at ease."""
    file = tmp_path_factory.mktemp("watched") / "demo.db"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AFFECTSTREAM_DETECTOR_NAME", "haar")
        with pytest.raises(SystemExit) as left:
            main(["run", "demo:5", "--db", str(file), "--json"])
    assert left.value.code == 0
    ((who, run_id, at),) = select(file, "SELECT person_id, run_id, first_seen FROM person ORDER BY 1 LIMIT 1")
    begin = int(datetime.fromisoformat(at).timestamp()) * SECOND
    with opened(f"sqlite:///{file}") as store:
        made = episode(person_id=who, run_id=run_id, camera_id="demo", started_at=begin, ended_at=begin + 2 * SECOND)
        store.write(Rows(episodes=[made]))
    return file


@pytest.fixture
def demo(watched: Path, affectstream: Command) -> Path:
    """A copy of it, as affectstream.db of the current folder."""
    return Path(shutil.copy(watched, "affectstream.db"))


@pytest.fixture
def door(affectstream: Command) -> Path:
    """A camera with two hours of windows, a pause without anybody in them, and two people; and one never used."""
    file = Path("affectstream.db").absolute()
    rows = Rows(
        people=[person(person_id="door-1.1"), person(person_id="door-1.2")], episodes=[episode(person_id="door-1.1")]
    )
    for length in (10, 60, 900):
        for start in range(0, 7200, length):
            make = empty_window if 3600 <= start < 5400 else window
            rows.windows.append(make(window_seconds=length, window_start=START + start * SECOND))
    rows.windows.append(window(person_id="door-1.1", people=1))
    with opened(f"sqlite:///{file}") as store:
        for name in ("door", "attic"):
            store.start_run(run(camera_id=name, run_id=f"{name}-1"))
        store.write(rows)
    return file


def expected(database: Path, name: str, order: str, where: str = "1") -> tuple[list[str], list[list[Any]]]:
    """Columns and rows of a view, times as ISO 8601."""
    import sqlite3

    with closing(sqlite3.connect(database)) as connection:
        found = connection.execute(f"SELECT * FROM {name} WHERE {where} ORDER BY {order}")
        columns = [column for column, *_ in found.description]
        return columns, [list(row) for row in found]


def read(file: Path, form: str, lines: bool = True) -> list[dict[str, Any]]:
    """A file's rows, as another program reads them, times as datetimes."""
    if form == "parquet":
        rows: list[dict[str, Any]] = pq.read_table(file).to_pylist()
        return rows
    text = file.read_text(encoding="utf-8")
    if form == "json":
        return [json.loads(line) for line in text.splitlines()] if lines else json.loads(text)
    return [{name: value or None for name, value in row.items()} for row in csv.DictReader(text.splitlines())]


def plain(value: Any, like: Any) -> Any:
    """A value as the database has it: a CSV has texts only, a truth is 0 or 1, a time is text."""
    if isinstance(value, str) and isinstance(like, int) and value in {"true", "false"}:
        return int(value == "true")
    if isinstance(value, str) and isinstance(like, int | float):
        return type(like)(value)
    if isinstance(like, str) and like[-1:] == "Z":
        moment = value if isinstance(value, datetime) else datetime.fromisoformat(value)
        return moment.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "microseconds") + "Z"
    return int(value) if isinstance(value, bool) else value


def assert_same(found: list[dict[str, Any]], columns: list[str], rows: list[list[Any]]) -> None:
    assert len(found) == len(rows) > 0
    for mine, theirs in zip(found, rows, strict=True):
        assert set(mine) == set(columns)
        for name, value in zip(columns, theirs, strict=True):
            assert plain(mine[name], value) == (
                pytest.approx(value, rel=1e-6) if isinstance(value, float) else value
            ), name


@pytest.mark.parametrize("form", ["csv", "json", "parquet"])
@pytest.mark.parametrize("what", VIEWS)
def test_what_is_exported_is_what_is_stored(affectstream: Command, demo: Path, what: str, form: str) -> None:
    done = affectstream("export-history", "--what", what, "--format", form, "--output", "out.bin")
    assert (done.code, done.out, done.err) == (0, "", "")
    assert_same(read(Path("out.bin"), form), *expected(demo, *VIEWS[what]))
    assert sorted(path.name for path in Path().iterdir()) == ["affectstream.db", "out.bin"]


@pytest.mark.parametrize("form", ["csv", "json", "parquet"])
@pytest.mark.parametrize("who", ["camera", "person"])
def test_history_in_every_format_is_what_is_stored(affectstream: Command, demo: Path, form: str, who: str) -> None:
    (person_id,) = select(demo, "SELECT max(person_id) FROM person")[0]
    name = "demo" if who == "camera" else person_id
    done = affectstream("history", f"--{who}", name, "--window", 10, "--format", form, "--output", "out.bin")
    assert (done.code, done.out, done.err) == (0, "", "")
    rows = expected(demo, f"{who}_window", "window_start", f"window_seconds = 10 AND {who}_id = '{name}'")
    assert_same(read(Path("out.bin"), form, lines=False), *rows)


def test_standard_output_gets_the_same_as_a_file(affectstream: Command, demo: Path) -> None:
    for suffix in ("csv", "json"):
        assert affectstream("export-history", "--output", f"out.{suffix}").code == 0
        piped = affectstream("export-history", "--output", "-", "--format", suffix)
        assert piped.out == Path(f"out.{suffix}").read_text()
    command = [sys.executable, "-m", "pipeline", "export-history", "--output", "-", "--format", "parquet"]
    house = Path(__file__).parents[2]
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": str(house)}, capture_output=True, check=True)
    Path("piped.parquet").write_bytes(done.stdout)
    assert read(Path("piped.parquet"), "parquet") == read_all(affectstream)


def read_all(affectstream: Command) -> list[dict[str, Any]]:
    assert affectstream("export-history", "--output", "all.parquet").code == 0
    return read(Path("all.parquet"), "parquet")


def test_the_table_shows_people_emotions_and_pauses(affectstream: Command, door: Path) -> None:
    done = affectstream("history", "--camera", "door")
    assert done.code == 0
    assert "15 min windows" in done.out
    lines = done.out.splitlines()
    assert [line.split()[0] for line in lines if "happy " in line and ":" in line] == [
        "00:00",
        "00:15",
        "00:30",
        "00:45",
        "01:30",
        "01:45",
    ]
    (pause,) = [line for line in lines if "nobody" in line]
    assert pause.split() == ["01:00", "nobody", "(2", "windows)"]
    assert all(emotion in lines[-1] for emotion in COLOURS)


def test_without_colours_the_bar_is_of_letters(affectstream: Command, door: Path) -> None:
    out = affectstream("history", "--camera", "door", "--window", "900").out
    *_, legend = lines = out.splitlines()
    bar = next(word for line in lines if "%" in line for word in line.split() if not set(word) - set("ADFHS!N"))
    happy, neutral = select(door, "SELECT mean_happy, mean_neutral FROM camera_window WHERE window_seconds = 900")[0]
    assert (bar.count("H"), bar.count("N")) == pytest.approx((20 * happy, 20 * neutral), abs=1)
    assert "H happy" in legend


def test_in_a_narrow_terminal_the_bar_gives_way_and_every_figure_stays_whole(
    affectstream: Command, door: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def figures(columns: int) -> list[list[str]]:
        monkeypatch.setenv("COLUMNS", str(columns))
        lines = affectstream("history", "--camera", "door", "--window", "10").out.splitlines()
        return [[word for word in line.split() if set(word) - set("ADFHS!N")] for line in lines if "%" in line]

    assert figures(60) == figures(100) != []


def test_the_window_is_one_that_gives_a_readable_number_of_rows(affectstream: Command, door: Path) -> None:
    def length(*arguments: str) -> int:
        rows = json.loads(affectstream("history", "--camera", "door", "--format", "json", *arguments).out)
        assert 0 < len(rows) <= 60
        return int(rows[0]["window_seconds"])

    assert length() == 900
    assert length("--from", "2026-01-01 00:30", "--to", "2026-01-01 01:00") == 60
    assert length("--from", "2026-01-01 00:30", "--to", "2026-01-01 00:35") == 10


def test_ranges_are_those_of_the_windows(affectstream: Command, door: Path) -> None:
    def starts(*arguments: str) -> list[str]:
        done = affectstream("history", "--camera", "door", "--window", "900", "--format", "json", *arguments)
        return [row["window_start"][11:16] for row in json.loads(done.out)]

    assert starts("--from", "2026-01-01 01:30") == ["01:30", "01:45"]
    assert starts("--to", "2026-01-01T01:15:00+01:00") == ["00:00"]
    assert len(starts("--from", "2026-01-01", "--to", "1 jan 2026")) == 8


def test_a_person_may_be_named_by_the_last_part_of_the_pseudonym(affectstream: Command, door: Path) -> None:
    done = affectstream("history", "--person", "1", "--format", "json")
    assert [row["person_id"] for row in json.loads(done.out)] == ["door-1.1"]


@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_the_picture_has_every_emotion_in_its_colour(affectstream: Command, door: Path, suffix: str) -> None:
    done = affectstream("history", "--camera", "door", "--plot", f"out.{suffix}", "--output", "out.csv")
    assert (done.code, done.err) == (0, "")
    drawn = Path(f"out.{suffix}").read_bytes()
    assert drawn[:8] == b"\x89PNG\r\n\x1a\n" if suffix == "png" else b"</svg>" in drawn
    if suffix == "svg":
        assert all(colour.lower() in drawn.decode().lower() for colour in COLOURS.values())


def test_where_there_is_nothing_it_is_said_when_there_was_something(affectstream: Command, door: Path) -> None:
    done = affectstream("history", "--camera", "door", "--from", "2026-02-01", "--plot", "none.png")
    assert (done.code, done.out) == (0, "")
    assert done.err == (
        "affectstream: no windows of door in that time; there are some from 2026-01-01 00:00 to 2026-01-01 02:00 UTC\n"
    )
    assert "nothing is stored of attic yet" in affectstream("history", "--camera", "attic").err
    empty = affectstream("export-history", "--camera", "attic", "--output", "-")
    assert len(empty.out.splitlines()) == 1
    assert not Path("none.png").exists()


@pytest.mark.parametrize(("day", "shown"), [("2026-09-05", "00:00 23:45"), ("2026-09-06", "01:00 23:45")])
def test_a_days_report_has_all_of_a_day_whose_midnight_does_not_exist(
    affectstream: Command, in_zone: Callable[[str], None], day: str, shown: str
) -> None:
    in_zone("America/Santiago")  # the clocks go from 24:00 of the 5th to 1:00
    first = int(datetime(2026, 9, 5, 3, 45, tzinfo=UTC).timestamp()) * SECOND
    quarters = [first + number * 900 * SECOND for number in range(49 * 4)]
    with opened("sqlite:///affectstream.db") as store:
        store.start_run(run())
        store.write(Rows(windows=[window(window_seconds=900, window_start=at) for at in quarters]))
    assert affectstream("report", "--camera", "door", "--day", day, "--output", "day.html").code == 0
    times = re.findall(r'<tr><th scope="row">(\d\d:\d\d)</th><td class="right">2</td>', Path("day.html").read_text())
    assert f"{times[0]} {times[-1]}" == shown


BAD = {
    "there is no camera 'x'; there are attic, door": ["history", "--camera", "x"],
    "there is no person 'x'; there are door-1.": ["history", "--person", "x"],
    "there is no person '1' at attic; there is none": ["history", "--person", "1", "--camera", "attic"],
    "there are no windows of 7 s; there are 10, 60, 900": ["history", "--window", "7"],
    "--from 'soon' is no time": ["history", "--from", "soon"],
    "--from today (": ["export-history", "--from", "today", "--to", "yesterday", "--output", "-"],
    "--plot out.gif: write a .png or an .svg file": ["history", "--plot", "out.gif"],
    "there is no database nowhere.db yet": ["history", "--db", "nowhere.db"],
    "runs are of nobody": ["export-history", "--what", "runs", "--person", "1", "--output", "-"],
    "--window goes with windows": ["export-history", "--what", "people", "--window", "10", "--output", "-"],
    "the folder of no/out.csv does not exist": ["export-history", "--output", "no/out.csv"],
    "the folder of my files/out.csv does not exist; create it: mkdir -p '": [
        "export-history", "--output", "my files/out.csv",
    ],
    ". is a folder": ["export-history", "--output", "."],
    "nothing is stored of door on 2026-02-01": ["report", "--camera", "door", "--day", "2026-02-01"],
    "--day '2h ago' is a moment": ["report", "--camera", "door", "--day", "2h ago"],
    "there is no camera 'y'": ["report", "--camera", "y"],
}  # fmt: skip


@pytest.mark.parametrize("said", BAD)
def test_what_cannot_be_meant_is_one_line(affectstream: Command, door: Path, said: str) -> None:
    done = affectstream(*BAD[said])
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(f"affectstream: {said}")
    assert done.err.count("\n") == 1
    assert [path.name for path in Path().iterdir()] == ["affectstream.db"]


@pytest.mark.parametrize("command", ["history --person 1", "export-history --what people --output out.csv"])
def test_with_level_aggregate_nobody_is_shown(
    affectstream: Command, door: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setenv("AFFECTSTREAM_PRIVACY_LEVEL", "aggregate")
    done = affectstream(*command.split())
    assert (done.code, done.out) == (2, "")
    assert "privacy.level is aggregate" in done.err
    assert affectstream("export-history", "--output", "-").code == 0


def test_parquet_is_not_written_to_a_terminal(door: Path) -> None:
    ours, theirs = os.openpty()
    command = [sys.executable, "-m", "pipeline", "history", "--format", "parquet"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(command, stdout=theirs, stderr=subprocess.PIPE, text=True, env=environment, check=False)
    os.close(theirs)
    os.close(ours)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "not for a terminal" in done.stderr


@pytest.mark.parametrize("form", list(Format))
def test_an_export_that_fails_leaves_the_old_file_and_no_other(tmp_path: Path, form: Format) -> None:
    def broken() -> Iterator[list[Episode]]:
        moment = datetime(2026, 1, 1, tzinfo=UTC)
        yield [Episode("p", "c", "r", moment, moment, 1.0, 0.5, 0.5)] * 1000
        raise AffectstreamError("the server has gone")

    old = tmp_path / "out.file"
    old.write_text("before")
    with pytest.raises(AffectstreamError, match="has gone"):
        write(broken(), Episode, form, str(old))
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("out.file", "before")]


def test_a_full_disk_is_one_line(affectstream: Command, door: Path) -> None:
    done = affectstream("export-history", "--output", "/dev/full")
    assert (done.code, done.err) == (1, "affectstream: /dev/full cannot be written: No space left on device\n")


def many(database: Path, rows: int) -> None:
    """A database with so many observations of one person, made inside SQLite."""
    import sqlite3

    with opened(f"sqlite:///{database}") as store:
        store.start_run(run())
        store.write(Rows(observations=[observation(0)]))
    with closing(sqlite3.connect(database)) as connection:
        names = [name for _, name, *_ in connection.execute("PRAGMA table_info(observation)")]
        time_of = (
            "strftime('%Y-%m-%d %H:%M:%S', '2026-01-01', (n / 25) || ' seconds') || printf('.%06dZ', n % 25 * 40000)"
        )
        values = [{"seq": "n", "captured_at": time_of}.get(name, name) for name in names]
        connection.execute(
            f"WITH RECURSIVE counting(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM counting WHERE n < {rows - 1}) "
            f"INSERT INTO observation ({', '.join(names)}) SELECT {', '.join(values)} FROM observation, counting"
        )
        connection.commit()


@pytest.fixture(scope="module")
def few_and_many(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """Two databases, by their number of observations."""
    folder = tmp_path_factory.mktemp("many")
    files = {rows: folder / f"{rows}.db" for rows in (20_000, 250_000)}
    for rows, file in files.items():
        many(file, rows)
    return files


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_the_memory_of_an_export_does_not_grow_with_its_rows(
    few_and_many: dict[int, Path], tmp_path: Path, form: str
) -> None:
    """Each in a process of its own, whose peak the system tells. All rows at once would be some 300 MB more."""
    peaks = []
    for rows, database in few_and_many.items():
        output = tmp_path / f"{rows}.{form}"
        command = ["export-history", "--what", "observations", "--db", str(database), "--output", str(output)]
        child = subprocess.Popen([sys.executable, "-m", "pipeline", *command], cwd=Path(__file__).parents[2])
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        assert child.returncode == 0
        peaks.append(used.ru_maxrss / 1024)
        assert (pq.read_metadata(output).num_rows if form == "parquet" else lines_of(output) - 1) == rows
    assert peaks[1] - peaks[0] < 60, f"{peaks[0]:.0f} MB for few rows, {peaks[1]:.0f} MB for many"


def lines_of(file: Path) -> int:
    with file.open("rb") as lines:
        return sum(1 for _ in lines)
