"""Which of several models to take: what they say of faces that neither learning nor testing has used, side by side.

    python -m benchmarks.candidates --data fer2013.npz --model default --model runs/new [--harm NAME ...]
        [--pictures held-out] [--json candidates.json]

The faces are those that `train --preset ours` holds out of the training split, or with `--pictures learnt` those that
it learns from: what a model knows by heart. With `--pictures public` test pictures are looked at; count it.
"""

import argparse
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from benchmarks.result import Cell, Column, Table, conclude, from_shell, machine, shell_command
from benchmarks.trainings import FIGURES, ask, figures, met
from classifier.card import ModelCard, read_card
from classifier.datasets import SPLITS, Examples, load
from classifier.evaluation import VOTED, label_head
from classifier.folders import find_model
from classifier.quiet import choose_backend, native_stderr_held_back
from classifier.recipe import ours
from classifier.robustness import HARMS
from contracts.emotions import EMOTIONS
from contracts.errors import InputError
from contracts.loading import load_settings
from contracts.messages import F32

COLUMNS: Final = (
    Column("model"), *FIGURES, Column("it alone is right", digits=0, better="higher"),
    Column("the first alone is right", digits=0, better="lower"),
)  # fmt: skip
PARTS: Final = ("held-out", "learnt", *SPLITS)


def pictures(examples: Examples, part: str) -> Examples:
    """One of the `PARTS` of a data set. Raises InputError where there is nothing in it."""
    asked = examples.of(part) if part in SPLITS else _shares(examples)[part]
    if not len(asked):
        raise InputError(f"{part}: the data has no such pictures")
    return asked


def _shares(examples: Examples) -> dict[str, Examples]:
    with native_stderr_held_back():
        from classifier.lessons import DIVISION, shares

    return dict(zip(("learnt", "held-out"), shares(examples.divided(DIVISION), ours("fern")), strict=True))


def table(said: Mapping[str, F32], tested: Examples, *, votes: bool, title: str, note: str) -> Table:
    """A row for each model, by what it says f32[N, 7] of the pictures."""
    right = {name: met(scores, tested, votes=votes) for name, scores in said.items()}
    first = next(iter(right.values()))
    rows: list[list[Cell]] = []
    for name, cells in figures(said, tested, votes=votes).items():
        compared: list[Cell] = [float((right[name] & ~first).sum()), float((~right[name] & first).sum())]
        rows.append([name, *cells, *(compared if rows else [None, None])])
    return Table(title=title, columns=COLUMNS, rows=rows, note=note)


def names(folders: Sequence[Path]) -> dict[str, Path]:
    """Models by the last part of their path, or by all of it where that does not tell them apart."""
    last = [folder.name for folder in folders]
    return {str(folder) if last.count(folder.name) > 1 else folder.name: folder for folder in folders}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="FER2013")
    parser.add_argument("--model", action="append", required=True, help="a model's folder or name; give several")
    parser.add_argument("--pictures", choices=PARTS, default="held-out", help="held-out unless given")
    parser.add_argument("--harm", action="append", default=[], choices=HARMS, help="ask after it as well")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(arguments)
    choose_backend()
    where = machine()
    models = names([find_model(m, load_settings(None, os.environ, {}).models) for m in options.model])
    cards = {name: read_card(folder) for name, folder in models.items()}
    tested = pictures(load(options.data), options.pictures)
    note = f"{len(tested):,} pictures of {options.data.name}, {options.pictures}"
    tables: list[Table] = []
    for votes in (False, True) if tested.voted else (False,):
        heads = {name: VOTED if votes else label_head(card) for name, card in cards.items()}
        able = [name for name, head in heads.items() if _answers_all(cards[name], head)]
        for harm in ("", *options.harm) if able else ():
            said = {name: ask(models[name], heads[name], tested, harm) for name in able}
            title = f"what models say, against {'voters' if votes else 'labels'}" + (f", {harm}" if harm else "")
            tables.append(table(said, tested, votes=votes, title=title, note=note))
    if not tables:
        raise InputError("none of these models answers with all seven emotions")
    conclude("candidates", shell_command("candidates", arguments), where, tables, options.json)


def _answers_all(card: ModelCard, head: str) -> bool:
    return head in card.heads and card.heads[head].classes == EMOTIONS


if __name__ == "__main__":
    from_shell(main)
