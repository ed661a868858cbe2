"""What each ingredient of our training gives: the default network learns with all of them, then without one at a time.

    python -m benchmarks.ablation --data fer2013.npz [--share 0.25 --epochs 40] [--only NAME ...] [--harm NAME ...]
        [--runs FOLDER]

A share of the training split is learnt from, and all of the rest is tested on: so there can be many trainings, which go
as far as to learn by heart, and enough pictures to tell them apart. Test pictures are not looked at. `--runs FOLDER`
keeps the trainings, and goes on where it was stopped.
"""

import argparse
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from benchmarks.result import Cell, Column, Table, conclude, fraction, from_shell, machine, positive, shell_command
from benchmarks.trainings import FIGURES, ask, figures, learn
from classifier import architectures
from classifier.card import read_card
from classifier.checkpoints import Run
from classifier.datasets import SPLITS, Examples, load
from classifier.evaluation import VOTED
from classifier.recipe import Distillation, Recipe, changed, stronger
from classifier.robustness import HARMS
from contracts.errors import InputError
from contracts.messages import F32

ALL: Final = "all of it"
TAUGHT: Final = f"taught by {ALL}"  # the teacher has not learnt from what is tested on either
COLUMNS: Final = (Column("learnt with"), *FIGURES, Column("seconds", digits=0, better="lower"))
Change = Callable[[Any], Any]  # of a recipe, of its distortion, or of a phase
DRAW: Final = 3  # chance that decides which pictures are learnt from


def _with(**fields: Any) -> Change:
    """The fields of a recipe, or of a part of it, as given."""
    return lambda part: msgspec.structs.replace(part, **fields)


def _times(factor: float, *fields: str) -> Change:
    """The fields as many times what they are: a way keeps its promise when the recipe changes."""
    return lambda part: msgspec.structs.replace(part, **{name: factor * getattr(part, name) for name in fields})


def _distorted(change: Change) -> Callable[[Recipe], Recipe]:
    return lambda recipe: msgspec.structs.replace(recipe, distortion=change(recipe.distortion))


def _optimised(change: Change) -> Callable[[Recipe], Recipe]:
    return lambda recipe: msgspec.structs.replace(recipe, phases=tuple(map(change, recipe.phases)))


WAYS: Final[dict[str, Callable[[Recipe], Recipe]]] = {
    ALL: lambda recipe: recipe,
    "no mirrored pairs": _with(mirrored=False),
    "no pairs, 3x3 where it halves": _with(mirrored=False, options={"halving": 3}),
    "no head for voters": _with(votes=0.0),
    "no averaged weights": _optimised(_with(averaged=0.0)),
    "no weight decay": _optimised(_with(weight_decay=0.0)),
    "no label smoothing": _with(label_smoothing=0.0),
    "no erasing": _distorted(_with(erasing=0.0)),
    "no softening, no noise": _distorted(_with(softening=0.0, noise=0.0)),
    "no softening": _distorted(_with(softening=0.0)),
    "no noise": _distorted(_with(noise=0.0)),
    "noise in all pictures": _distorted(_with(noisy=1.0)),
    "half as many soft and noisy pictures": _distorted(_times(0.5, "softening", "noisy")),
    "twice as many soft and noisy pictures": _distorted(_times(2, "softening", "noisy")),
    "softening, noise and mixup fade away over half": _distorted(_with(fading=0.5)),
    "no turning, moving, zooming": _distorted(_with(rotation=0.0, shift=0.0, zoom=0.0)),
    "turned, moved, zoomed, covered more": _distorted(lambda how: stronger(how, 1.0)),
    "turned twice as far": _distorted(_times(2, "rotation")),
    "no change of light": _distorted(_with(brightness=0.0, contrast=0.0)),
    "no dropout": _with(options={"dropout": 0.0}),
    "twice the weight decay": _optimised(_times(2, "weight_decay")),
    "half the rate": _optimised(_times(0.5, "rate")),
    "twice the rate": _optimised(_times(2, "rate")),
    "weights averaged over a tenth of the steps": _optimised(_with(averaged=0.1)),
    "sharpness-aware steps, radius 0.05": _with(radius=0.05),
    "no mixup": _with(mixup=0.0),
    "twice the mixup": _times(2, "mixup"),
    "voters weigh as much as labels": _with(votes=1.0),
    "voters weigh half as much as labels": _with(votes=0.5),
    "voters weigh four times as much as labels": _with(votes=4.0),
    "labels half of what votes make likely": _with(denoising=0.5),
    "labels all of what votes make likely": _with(denoising=1.0),
    TAUGHT: _with(distillation=Distillation()),
}


def apart(examples: Examples, share: float) -> Examples:
    """The training split: a share to learn from, the rest to test on. A training leaves out the twins of the rest."""
    training = examples.of("train")
    learns = np.random.default_rng(DRAW).random(len(training)) < share
    return msgspec.structs.replace(training, split=np.where(learns, SPLITS["train"], SPLITS["public"]))


class Learnt(NamedTuple):
    """What a network says of N pictures that it has not learnt from."""

    said: dict[tuple[str, str], F32]  # (head, harm, or "" for none) -> f32[N, 7]
    seconds: float  # that it learnt for


def learnt(
    examples: Examples, run: Run, folder: Path, report: Callable[[Any], None] = lambda at: None,
    harms: Sequence[str] = (),
) -> Learnt:  # fmt: skip
    """Trains on one part of what is `apart`, and asks about the other, as it is and after each of the `HARMS` given."""
    learn(examples, run, folder, report)
    card, tested = read_card(folder), examples.of("public")
    said = {(head, harm): ask(folder, head, tested, harm) for head in card.heads for harm in ("", *harms)}
    return Learnt(said, card.training.seconds)


def table(head: str, made: Mapping[str, Learnt], tested: Examples, note: str, harm: str = "") -> Table:
    """A row for each network that has the head."""
    said = {name: one.said[head, harm] for name, one in made.items() if (head, harm) in one.said}
    votes = head == VOTED
    rows: list[list[Cell]] = [
        [name, *cells, made[name].seconds] for name, cells in figures(said, tested, votes=votes).items()
    ]
    title = f"what each ingredient gives, against {'voters' if votes else 'labels'}"
    return Table(title=title + (f", {harm}" if harm else ""), columns=COLUMNS, rows=rows, note=note)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="FER2013")
    parser.add_argument("--share", type=fraction, default=0.25, help="of the training split, to learn from")
    parser.add_argument("--epochs", type=positive, default=40)
    parser.add_argument("--only", action="append", help=f"one of: {'; '.join(WAYS)}. May be given several times")
    parser.add_argument("--harm", action="append", default=[], choices=HARMS, help="test after it as well")
    parser.add_argument("--runs", type=Path, help="folder that keeps the trainings, whole or stopped")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(arguments)
    names = options.only or list(WAYS)
    if unknown := [name for name in names if name not in WAYS]:
        raise InputError(f"no ingredient {unknown[0]!r}: there are {'; '.join(WAYS)}")
    if TAUGHT in names:  # its teacher comes before it
        names = [ALL, *(name for name in names if name != ALL)]
    if options.share == 1:
        raise InputError("--share 1 leaves nothing to test on")
    where, command = machine(), shell_command("ablation", arguments)
    examples = apart(load(options.data), options.share)
    ours = changed(architectures.preset("fern", "ours"), epochs=options.epochs)
    made: dict[str, Learnt] = {}
    bar = Progress(
        TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn(), console=Console(stderr=True),
        transient=True,
    )  # fmt: skip
    with ExitStack() as stack:
        runs = (options.runs or Path(stack.enter_context(tempfile.TemporaryDirectory()))).resolve()
        stack.enter_context(bar)
        task = bar.add_task("", total=None)

        def report(at: Any) -> None:
            bar.update(task, completed=len(made) * at.steps + at.step, total=len(names) * at.steps)

        for name in names:
            bar.update(task, description=name)
            run = Run(
                recipe=WAYS[name](ours), data=f"{options.share:g} of {options.data.name}'s training split",
                command=command, teachers=(str(runs / _file_name(ALL)),) if name == TAUGHT else (),
            )  # fmt: skip
            made[name] = learnt(examples, run, runs / _file_name(name), report, options.harm)
    tested = examples.of("public")
    note = (
        f"{options.epochs} epochs of {options.share:.0%} of {options.data.name}'s training split, tested on the other "
        f"{len(tested):,} pictures"
    )
    tables = [table(head, made, tested, note, harm) for harm in ("", *options.harm) for head in (examples.head, VOTED)]
    conclude("ablation", command, where, [one for one in tables if one.rows], options.json)


def _file_name(name: str) -> str:
    return name.replace(",", "").replace(" ", "-")


if __name__ == "__main__":
    from_shell(main)
