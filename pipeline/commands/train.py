"""`affectstream train` and `evaluate`: making a model, and measuring one."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from pipeline.commands import Context


def train(
    data: Annotated[Path, typer.Option(help="Data set: an .npz in FER2013's layout.")],
    output: Annotated[Path, typer.Option(help="Folder to write the model into.")],
    architecture: Annotated[str, typer.Option(help="Network.")] = "fern",
    epochs: Annotated[int, typer.Option(min=1)] = 60,
    seed: Annotated[int, typer.Option()] = 1,
) -> None:
    """Train a classifier; writes the model and its card into a folder that `--model` takes.

    The training split is used without blank pictures and without twins of the PublicTest pictures. PublicTest is looked
    at once, at the end.
    """
    from classifier.quiet import choose_backend, native_stderr_held_back

    choose_backend()
    with native_stderr_held_back():
        from classifier import datasets, training
    from rich import progress as rich
    from rich.console import Console

    examples = datasets.load(data)
    recipe = training.Recipe(architecture=architecture, epochs=epochs, seed=seed)
    console = Console(stderr=True)
    columns = (rich.TextColumn("training"), rich.BarColumn(), rich.MofNCompleteColumn(), rich.TimeRemainingColumn())
    with rich.Progress(*columns, console=console, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("training", total=epochs)

        def report(at: training.Progress) -> None:
            bar.update(task, completed=at.epoch)
            console.print(
                f"epoch {at.epoch:>3}/{at.epochs}  loss {at.loss:.3f}  held-out accuracy fer2013 {at.accuracy:.3f} "
                f"ferplus {at.accuracy_plus:.3f}  {at.seconds:.0f} s",
                highlight=False,
            )

        command = f"affectstream train --data {data.name} --output {output.name} --architecture {architecture}"
        card = training.train(
            examples, recipe, output, crop=datasets.FRAMING, data=data.name, report=report,
            command=f"{command} --epochs {epochs} --seed {seed}",
        )  # fmt: skip
    typer.echo(f"{output}: PublicTest accuracy " + ", ".join(f"{h} {a:.4f}" for h, a in card.accuracy.items()))


def evaluate(
    context: typer.Context,
    data: Annotated[Path, typer.Option(help="Data set: an .npz in FER2013's layout.")],
    model: Annotated[str, typer.Option(help="A model's name or folder.")] = "default",
    split: Annotated[str, typer.Option(help="train, public, private or all.")] = "public",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Measure a classifier on labelled faces, through the engine that the pipeline uses."""
    from classifier import datasets
    from classifier.evaluation import measure
    from classifier.folders import find_model

    owner: Context = context.obj
    settings = owner.settings({})
    result = measure(find_model(model, settings.models), datasets.load(data), split)
    if as_json:
        typer.echo(json.dumps(result))
    else:
        for name, value in result.items():
            typer.echo(f"{name:<24}{value:,}" if isinstance(value, int) else f"{name:<24}{value:.4f}")
