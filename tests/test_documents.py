"""What the documents point at is there: other pages, and commands that the program takes."""

import importlib.util
import re
import shlex
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.core import TyperGroup
from typer.exceptions import TyperException

from pipeline.cli import app

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
LINK = re.compile(r"\]\(([^)\s]+)\)")
BLOCK = re.compile(r"^```\w*\n(.*?)^```$|(?<=\n\n)((?: {4}[^\n]+\n)+)", re.DOTALL | re.MULTILINE)
INLINE = re.compile(r"`([^`]+)`")
PROGRAM = re.compile(r"\s*(?:\w+=\S+ )*(?:docker compose exec (?:-T )?\w+ )?affectstream ([a-z].*)")
SHELL = {"|", ">", "<<<"}  # what follows is not for the program


def anchors(page: Path) -> set[str]:
    """The names that headings are linked by."""
    headings = (line.lstrip("#").strip().lower() for line in page.read_text().splitlines() if line.startswith("#"))
    return {re.sub(r"[^\w\- ]", "", heading).replace(" ", "-") for heading in headings}


def shown(page: Path) -> Iterator[tuple[list[str], bool]]:
    """The arguments of each `affectstream` command on the page, and whether it stands in a block: else it is a name."""
    text = page.read_text()
    blocks = [found[1] or found[2] for found in BLOCK.finditer(text)]
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    inline = [code.replace("\n", " ") for code in INLINE.findall(BLOCK.sub("", text))]
    for line, whole in [*((line, True) for line in lines), *((line, False) for line in inline)]:
        if found := PROGRAM.match(line):
            words = takewhile(lambda word: word not in SHELL, shlex.split(found[1], comments=True))
            # [--split train|public] is how a choice is shown.
            yield [word.strip("[]").partition("|")[0] for word in words], whole


def parse(arguments: list[str], *, whole: bool) -> None:
    """Raises TyperException for what the program would not take, KeyError for a command that it has not."""
    command: Any = typer.main.get_command(app)
    context = None
    while isinstance(command, TyperGroup) and arguments:
        context = command.make_context(command.name, [], parent=context, resilient_parsing=True)
        name, *arguments = arguments
        command = command.commands[name]
    if whole or arguments:
        command.make_context(command.name, arguments, parent=context)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_pages_and_headings_that_are_there(page: Path) -> None:
    broken = []
    for target in LINK.findall(page.read_text()):
        name, _, anchor = target.partition("#")
        other = (page.parent / name).resolve() if name else page
        if "://" not in target and not (other.exists() and (not anchor or anchor in anchors(other))):
            broken.append(target)
    assert not broken


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_are_such_as_the_program_takes(page: Path) -> None:
    for arguments, whole in shown(page):
        parse(arguments, whole=whole)


def test_a_command_that_the_program_does_not_take_would_be_noticed(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "Text.\n\n    affectstream train --colour red\n\n```sh\nX=1 affectstream watch  # it\n```\n`affectstream run`\n"
    )
    (option, _), (command, _), (name, whole) = shown(page)
    with pytest.raises(TyperException, match="--colour"):
        parse(option, whole=True)
    with pytest.raises(KeyError, match="watch"):
        parse(command, whole=True)
    parse(name, whole=whole)
    with pytest.raises(TyperException, match="sources"):
        parse(name, whole=True)


def test_benchmarks_that_are_named_are_there() -> None:
    named = {name for page in PAGES for name in re.findall(r"python -m (benchmarks\.\w+)", page.read_text())}
    assert len(named) > 10
    assert not [name for name in sorted(named) if importlib.util.find_spec(name) is None]
