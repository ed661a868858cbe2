"""How fast a network learns here: precision, the operation that normalises, and teachers, each with and without.

16 bits are measured where training would use them: a CPU without such instructions takes minutes for a round of them.

    python -m benchmarks.training [--architecture fern] [--preset ours] [--rounds 3] [--json training.json]

Steps are those of `affectstream train` on pictures of chance: what they show changes no time.
"""

import argparse
import itertools
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.result import Cell, Column, Table, conclude, from_shell, machine, positive, shell_command, spread
from classifier.architectures import ARCHITECTURES, architecture, preset
from classifier.datasets import SPLITS, Examples
from classifier.datasets.pictures import InMemory
from classifier.evaluation import VOTED
from classifier.quiet import choose_backend, native_stderr_held_back
from classifier.recipe import Distillation, Recipe
from contracts.emotions import EMOTIONS

PICTURES: Final = 2560  # that a round learns from


def examples() -> Examples:
    """Noise with labels and votes."""
    chance = np.random.default_rng(1)
    return Examples(
        pictures=InMemory(chance.integers(0, 256, (PICTURES, 48, 48), dtype=np.uint8)),
        labels=chance.integers(0, len(EMOTIONS), PICTURES), split=np.full(PICTURES, SPLITS["train"]),
        votes=chance.dirichlet(np.ones(len(EMOTIONS)), PICTURES).astype(np.float32),
    )  # fmt: skip


def heads_of(recipe: Recipe) -> dict[str, int]:
    """Both heads, whatever the recipe says: what they cost is little."""
    return {"labels": len(recipe.classes), VOTED: len(recipe.classes)}


def trainee(recipe: Recipe, precision: str, *, together: bool, teachers: int) -> Any:
    """A compiled network, as a training has it."""
    from classifier.copies import in_precision
    from classifier.distillation import Student
    from classifier.fused import fused
    from classifier.training import compiled

    heads = heads_of(recipe)

    def network() -> Any:
        built = architecture(recipe.architecture).build(heads, **recipe.options)
        return in_precision(fused(built) if together else built, precision)

    taught = [network() for _ in range(teachers)]
    learner = Student(network(), taught, Distillation()) if taught else network()
    return compiled(learner, recipe.phases[0], recipe, heads, steps=1000)


def measure(name: str, chosen: str, rounds: int) -> Table:
    """Pictures/s of each way, in turn."""
    choose_backend()
    with native_stderr_held_back():
        from classifier.batches import batches
        from classifier.device import precision

    recipe, here = preset(name, chosen), precision()
    noise = examples().of_classes(recipe.classes)
    steps = len(noise) // recipe.batch_size

    pairs = itertools.product(dict.fromkeys(("float32", here)), (False, True))
    learners = {
        f"{policy}, {'one operation' if together else 'as Keras composes it'}": trainee(
            recipe, policy, together=together, teachers=0
        )
        for policy, together in pairs
    } | {
        f"{here}, one operation, {count} teacher{'s' if count > 1 else ''}": trainee(
            recipe, here, together=True, teachers=count
        )
        for count in (1, 2)
    }
    *size, channels = next(iter(learners.values())).input_shape[1:]

    def prepared() -> Any:
        return batches(noise, recipe, heads_of(recipe), size=size, channels=channels, first=0, last=1_000_000)

    ways: dict[str, Callable[[], object]] = {
        way: lambda learner=learner: learner.fit(prepared(), steps_per_epoch=steps, verbose=0, shuffle=False)  # type: ignore[misc]
        for way, learner in learners.items()
    }
    ways["distorting the pictures alone"] = lambda: [None for _ in prepared().take(steps)]
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    for number in range(rounds + 1):  # the first, which compiles, is not counted
        for way, work in ways.items():
            began = time.perf_counter()
            work()
            if number:
                seconds[way].append(time.perf_counter() - began)
    reference = seconds[next(iter(ways))]
    rows: list[list[Cell]] = [
        [
            way, spread([steps * recipe.batch_size / value for value in each]),
            spread([one / value for one, value in zip(reference, each, strict=True)]),
        ]
        for way, each in seconds.items()
    ]  # fmt: skip
    return Table(
        title=f"{name}: how fast it learns",
        columns=(
            Column("way"), Column("speed", "pictures/s", 0, better="higher"),
            Column("speed", "to the first", 2, better="higher"),
        ),
        rows=rows, note=f"batches of {recipe.batch_size}; pictures are distorted meanwhile, on the same cores",
    )  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--architecture", default="fern", choices=ARCHITECTURES)
    parser.add_argument("--preset", default="ours")
    parser.add_argument("--rounds", type=positive, default=3)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(arguments)
    where = machine()
    table = measure(options.architecture, options.preset, options.rounds)
    conclude("training", shell_command("training", arguments), where, [table], options.json)


if __name__ == "__main__":
    from_shell(main)
