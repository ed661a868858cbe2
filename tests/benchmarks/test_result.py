"""What was measured is kept whole, and two measurements are compared without crying wolf."""

import argparse
import io
import re
import sys
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks.compare import compare, main
from benchmarks.result import (
    Cell,
    Column,
    Result,
    Spread,
    Table,
    conclude,
    fraction,
    from_shell,
    machine,
    middle,
    positive,
    read,
    result,
    shell_command,
    show,
    spread,
    write,
)
from contracts.errors import InputError

KEPT = Path(__file__).parents[2] / "docs" / "measurements"
COLUMNS = (
    Column("way"),
    Column("speed", "frames/s", better="higher"),
    Column("cost", "ms", 2, better="lower"),
    Column("frames", digits=0),
)


def made(*cells: Cell, bench: str = "e2e") -> Result:
    table = Table(title="speed", columns=COLUMNS, rows=[["ours", *cells], ["theirs", 1.0, None, "text"]])
    return result(bench, "affectstream bench e2e", machine(), [table])


def printed() -> Console:
    return Console(file=io.StringIO(), width=200)


def text(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_what_is_written_is_read_again_as_it_was(tmp_path: Path) -> None:
    before = made(spread([3.0, 1.0, 2.0]), 0.5, 460)
    write(before, tmp_path / "made.json")
    after = read(tmp_path / "made.json")
    assert after == before
    assert after.tables[0].rows[0][1] == Spread(2.0, 1.0, 3.0)
    assert after.machine.cores > 0
    assert after.machine.memory_gib > 0.1


def test_what_is_shown_in_a_file_has_all_its_figures() -> None:
    cells: list[Cell] = ["the whole name of a model", *(float(number) for number in range(1000, 1020))]
    columns = (Column("model"), *(Column(f"figure {number}", digits=4) for number in range(20)))
    table = Table(title="many", columns=columns, rows=[cells])
    console = Console(file=io.StringIO(), width=80)
    show(result("candidates", "candidates", machine(), [table]), console)
    assert all(f"{number:,}.0000" in text(console) for number in range(1000, 1020))


def test_a_table_shows_figures_spreads_and_what_is_missing() -> None:
    console = printed()
    show(made(Spread(12_345.6, 9_000.0, 13_000.0), 0.125, 460), console)
    assert "12,346 (9,000.0 to 13,000)" in text(console)
    assert "0.12" in text(console)
    assert " - " in text(console)


@pytest.mark.parametrize(
    ("old", "new", "worse"),
    [
        ((100.0, 2.0, 1), (90.0, 2.0, 1), 1),  # slower
        ((100.0, 2.0, 1), (100.0, 2.5, 1), 1),  # dearer
        ((100.0, 2.0, 1), (150.0, 1.0, 1), 0),  # better at both
        ((100.0, 2.0, 1), (97.0, 2.05, 1), 0),  # within what a machine does by itself
        ((Spread(100.0, 70.0, 130.0), 2.0, 1), (90.0, 2.0, 1), 0),  # within its own spread
        ((Spread(100.0, 99.0, 101.0), 2.0, 1), (Spread(80.0, 79.0, 81.0), 2.0, 1), 1),
        ((100.0, 2.0, 500), (100.0, 2.0, 1), 0),  # neither direction of a count is better
        ((None, 2.0, 1), (1.0, 2.0, 1), 0),  # not measured before
        ((0.0, 2.0, 1), (0.0, 2.0, 1), 0),
    ],
)
def test_only_what_got_worse_beyond_the_noise_is_called_worse(
    old: tuple[Cell, ...], new: tuple[Cell, ...], worse: int
) -> None:
    console = printed()
    assert compare(made(*old), made(*new), console) == worse
    assert text(console).count("worse") == worse


@pytest.mark.parametrize("file", sorted(KEPT.glob("*.json")), ids=lambda file: file.stem)
def test_a_measurement_compared_with_itself_is_the_same_in_every_figure(file: Path) -> None:
    console, kept = printed(), read(file)
    assert compare(kept, kept, console) == 0
    figures = [cell for table in kept.tables for row in table.rows for cell in row if middle(cell) is not None]
    ratios = re.findall(r"│ ([\d.]+|-) +│$", text(console), flags=re.MULTILINE)
    assert len(ratios) == len(figures) > 0
    assert set(ratios) <= {"1.00", "-"}


def test_results_of_two_kinds_are_not_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(made(1.0, 1.0, 1), tmp_path / "one.json")
    write(made(1.0, 1.0, 1, bench="stages"), tmp_path / "other.json")
    with pytest.raises(SystemExit, match=r"one\.json is of e2e, .*other\.json of stages"):
        main([str(tmp_path / "one.json"), str(tmp_path / "other.json")])
    with pytest.raises(SystemExit) as left:
        main([str(tmp_path / "one.json"), str(tmp_path / "one.json")])
    assert left.value.code == 0
    assert "1.00" in capsys.readouterr().out


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff", b'{"bench": 1}'])
def test_a_file_that_is_no_result_is_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "made.json"
    file.write_bytes(content)
    with pytest.raises(InputError, match=r"made\.json") as refused:
        read(file)
    assert "\n" not in str(refused.value)
    with pytest.raises(InputError, match="cannot read"):
        read(tmp_path / "nothing.json")
    with pytest.raises(InputError, match="cannot write"):
        write(made(1.0, 1.0, 1), tmp_path / "no folder" / "made.json")


def test_what_goes_wrong_in_a_benchmark_is_one_line() -> None:
    def refuse() -> None:
        raise InputError("nofile is no data set")

    with pytest.raises(SystemExit, match=r"^affectstream: nofile is no data set$"):
        from_shell(refuse)
    with pytest.raises(SystemExit, match=r"^affectstream: /nowhere/figures.json: No such file or directory$"):
        from_shell(lambda: Path("/nowhere/figures.json").write_text("{}"))
    with pytest.raises(SystemExit, match=r"^3$"):
        from_shell(lambda: 3)
    with pytest.raises(SystemExit, match=r"^0$"):
        from_shell(lambda: None)


def test_a_benchmark_that_has_ended_is_shown_and_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tables = made(1.0, 2.0, 3).tables
    conclude("e2e", "affectstream bench e2e", machine(), tables, None)
    assert "ours" in capsys.readouterr().out
    conclude("e2e", "affectstream bench e2e", machine(), tables, tmp_path / "kept.json")
    assert read(tmp_path / "kept.json").tables == tables


@pytest.mark.parametrize("text", ["0", "-3", "many", "1.5", ""])
def test_what_is_counted_is_one_or_more(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="is no number of 1 or more"):
        positive(text)
    assert positive("12") == 12


@pytest.mark.parametrize("text", ["0", "-0.5", "1.1", "half", "nan", ""])
def test_a_fraction_is_more_than_nothing_and_no_more_than_all(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="is no share: more than 0, and 1 at most"):
        fraction(text)
    assert (fraction("0.25"), fraction("1")) == (0.25, 1.0)


def test_a_result_says_the_command_that_measures_it_again(monkeypatch: pytest.MonkeyPatch) -> None:
    assert shell_command("looks", ["--data", "my faces.npz"]) == "python -m benchmarks.looks --data 'my faces.npz'"
    monkeypatch.setattr(sys, "argv", ["looks.py", "--model", "before"])
    assert shell_command("looks", None) == "python -m benchmarks.looks --model before"
