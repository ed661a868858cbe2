"""`affectstream calibrate`: how sure a model may sound."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.commands import Context, note
from pipeline.commands.data import DATA, Model, Split, labelled


def calibrate(
    context: typer.Context,
    data: Annotated[Path, typer.Option(help=f"Labelled faces that the model has not learnt from: {DATA}")],
    model: Model = "default",
    split: Split = None,
) -> None:
    """Make a model as sure of its answers as it is right, on faces like these; writes temperatures on its card.

    No answer changes, only the probabilities beside it.
    """
    from classifier.calibration import calibrate as fitted
    from classifier.folders import find_model
    from pipeline.progress import waiting

    owner: Context = context.obj
    folder = find_model(model, owner.settings({}).models)
    examples = labelled(data)
    with waiting("calibrating"):
        card, fits = fitted(folder, examples, split)
    for head, fit in fits.items():
        (before, now), (worse, better) = fit.temperature, fit.cross_entropy
        typer.echo(f"{folder}, {head}: temperature {before} -> {now}, cross entropy {worse:.4f} -> {better:.4f}")
    for head in card.heads:
        if head not in fits:
            used = ", and is what is used where no head is named" if head == card.default_head else ""
            note(f"{head} stays as it is{used}: it is fitted to FER+'s votes, of which {data.name} has none")
