"""`affectstream data`: looking at a data set before anything is learnt from it, and making one of photographs."""

from pathlib import Path
from typing import Annotated, Any, Final

import typer

from contracts.errors import InputError
from pipeline.commands import Context, note
from pipeline.commands.run import DetectorName

DATA: Final = "FER2013 as .npz or .csv, or a folder with a folder of images for each class."
Model = Annotated[str, typer.Option(help="A model's name or folder.")]
Split = Annotated[str | None, typer.Option(help="train, public, private or all; public if the data has it, else all.")]

NAMED: Final = 5  # photographs, of those that gave no face

data_app = typer.Typer(help="Look at labelled faces before training on them; cut them out.", no_args_is_help=True)


@data_app.callback()
def data() -> None:
    """Look at labelled faces before training on them; cut them out."""


@data_app.command()
def report(
    path: Annotated[Path, typer.Argument(help=DATA)],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Count classes and splits, and find blank pictures, exact duplicates and labels that contradict each other."""
    import msgspec

    from classifier import datasets
    from classifier.datasets.report import examine
    from pipeline.progress import waiting

    with waiting(f"reading {path.name}"):
        found = examine(datasets.load(path))
    if as_json:
        typer.echo(msgspec.json.encode(found).decode())
    else:
        _show(path, found)


@data_app.command()
def cut(
    context: typer.Context,
    photographs: Annotated[Path, typer.Argument(help="Folder with photographs, in folders of any depth.")],
    output: Annotated[Path, typer.Argument(help="Folder to write the faces into, laid out alike.")],
    model: Model = "default",
    detector: Annotated[
        DetectorName | None,
        typer.Option(help="Face detector; auto takes yunet where it can be had.", show_default="auto"),
    ] = None,
) -> None:
    """Cut the largest face out of each photograph, as cameras' faces are cut out for a model.

    Faces framed otherwise than a model knows them are read worse: train and evaluate on what this writes.
    """
    from classifier.card import read_card
    from classifier.datasets.trees import images
    from classifier.folders import find_model
    from detector import open_detector
    from pipeline.cutting import cut_tree, make_empty
    from pipeline.progress import counting

    owner: Context = context.obj
    settings = owner.settings({"detector.name": detector and detector.value, "classifier.model": model})
    if not photographs.is_dir():
        raise InputError(f"no folder {photographs}")
    found = images(photographs)
    if not found:
        raise InputError(f"{photographs} has no pictures")
    crop = read_card(find_model(settings.classifier.model, settings.models)).crop
    make_empty(output)
    finder = open_detector(settings.detector, settings.models, crop, note=note)
    with counting("cutting") as told:
        done = cut_tree(photographs, output, found, finder, told)
    for why, names in done.left_out.items():
        for name in names[:NAMED]:
            note(f"{name} {why}")
        if len(names) > NAMED:
            note(f"… and {len(names) - NAMED:,} more: each {why}")
    if not done.faces:
        raise InputError(f"{photographs}: no face was found in {done.photographs:,} photographs")
    typer.echo(
        f"{output}: {done.faces:,} faces of {done.photographs:,} photographs, {crop.width}x{crop.height}"
        + (f"; {done.several:,} show several people, of whom the largest was taken" if done.several else "")
    )


def labelled(path: Path) -> Any:
    """The `Examples` of a data set; what there is to know about them is said."""
    from classifier import datasets
    from pipeline.progress import waiting

    with waiting(f"reading {path.name}"):
        examples = datasets.load(path)
    for line in examples.notes:
        note(line)
    return examples


def _show(path: Path, found: Any) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from contracts.emotions import COLOURS, EMOTIONS

    console = Console(highlight=False)
    voted = f", {found.voted:,} with FER+ votes" if found.voted else ""
    console.print(Text.assemble((path.name, "bold"), f": {found.images:,} pictures{voted}"))  # a name is no markup
    table = Table("class", box=None, header_style="bold")
    for split in found.classes:
        table.add_column(split, justify="right")
        table.add_column("share", justify="right", style="dim")
    totals = {split: sum(classes.values()) for split, classes in found.classes.items()}
    for emotion in EMOTIONS:
        cells = [
            cell
            for split, classes in found.classes.items()
            for cell in (f"{classes[emotion]:,}", f"{classes[emotion] / totals[split]:.1%}")
        ]
        table.add_row(f"[{COLOURS[emotion]}]■[/] {emotion}", *cells)
    for name, counts in (("all", totals), ("blank", found.blank), ("copies of another", found.copies)):
        table.add_row(
            f"[bold]{name}[/]" if name == "all" else f"  {name}",
            *[cell for split in found.classes for cell in (f"{counts[split]:,}", "")],
            style=None if name == "all" else "dim" if not any(counts.values()) else None,
        )
    console.print(table)
    console.print()
    for pair, count in found.shared.items():
        other = found.conflicts[pair]
        console.print(f"{pair}: {count:,} exact duplicates, {other:,} of them have another label there")
    for split in found.classes:
        if found.conflicts[split]:
            console.print(f"{split}: {found.conflicts[split]:,} pictures have a duplicate with another label")
    for line in found.notes:
        console.print(Text(line))
