"""The rooms of the house import what the map allows and nothing else."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

HOUSE = Path(__file__).parents[1]
ROOMS = {
    "contracts": set(),
    "ingest": {"contracts"},
    "detector": {"contracts"},
    "classifier": {"contracts"},
    "aggregator": {"contracts"},
    "storage": {"contracts"},
    "dashboards": {"contracts", "storage"},
    "pipeline": {"contracts", "ingest", "detector", "classifier", "aggregator", "storage", "dashboards"},
}


def imported(file: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
    return names & set(ROOMS)


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_what_the_map_allows(room: str) -> None:
    for file in (HOUSE / room).rglob("*.py"):
        assert imported(file) <= ROOMS[room] | {room}, file


@pytest.mark.parametrize("room", [room for room in ROOMS if room != "pipeline"])
def test_entering_a_room_is_cheap(room: str) -> None:
    heavy = {"tensorflow", "keras", "cv2", "av", "sqlalchemy", "matplotlib", "skimage"}
    probe = f"import sys, {room}; print(*sorted(set(sys.modules) & {heavy!r}))"
    done = subprocess.run([sys.executable, "-c", probe], cwd=HOUSE, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_help_is_quick_because_nothing_heavy_is_loaded_for_it() -> None:
    heavy = {"tensorflow", "keras", "cv2", "av", "numpy", "sqlalchemy", "pydantic", "redis", "faust", "nicegui"}
    probe = f"import sys, pipeline.cli; print(*sorted(set(sys.modules) & {heavy!r}))"
    done = subprocess.run([sys.executable, "-c", probe], cwd=HOUSE, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_no_file_has_outgrown_its_room() -> None:
    long = {
        str(file.relative_to(HOUSE)): lines
        for room in [*ROOMS, "benchmarks", "tests"]
        for file in (HOUSE / room).rglob("*.py")
        if (lines := len(file.read_text(encoding="utf-8").splitlines())) > 400
    }
    assert not long
