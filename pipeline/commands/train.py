"""`affectstream train` and `evaluate`: making a model, and measuring one."""

import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from contracts.errors import InputError
from pipeline.commands import Context, note
from pipeline.commands.data import DATA, Model, Split, labelled


def train(
    context: typer.Context,
    data: Annotated[Path | None, typer.Option(help=f"Data set: {DATA}")] = None,
    output: Annotated[Path | None, typer.Option(help="Folder to write the model into.")] = None,
    architecture: Annotated[str, typer.Option(help="Network.")] = "fern",
    preset: Annotated[str | None, typer.Option(help="Recipe: ours, paper, or another of the network's.")] = None,
    classes: Annotated[str | None, typer.Option(help="Learn these emotions only: happy,sad,neutral.")] = None,
    teacher: Annotated[
        list[str] | None, typer.Option(help="Learn from this model as well, or from several: name or folder.")
    ] = None,
    start_from: Annotated[
        str | None, typer.Option(help="Begin with this model's weights: its name or folder.", show_default=False)
    ] = None,
    blend: Annotated[
        float | None, typer.Option(min=0, max=1, help="So much of those weights is in the result.", show_default="0")
    ] = None,
    from_scratch: Annotated[bool, typer.Option("--from-scratch", help="Without ImageNet's weights.")] = False,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Epochs, instead of the recipe's: of all its phases.")
    ] = None,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Pictures in a batch.")] = None,
    rate: Annotated[float | None, typer.Option(help="Learning rate, of the last phase.")] = None,
    radius: Annotated[
        float | None,
        typer.Option(min=0, help="How far each step of sharpness-aware minimisation climbs: 0.05. Twice the time."),
    ] = None,
    without: Annotated[
        str | None, typer.Option(help="Leave out a part of the pictures, as a teacher of it: 1/4, the first of four.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, max=2**32 - 1, help="Of everything that is left to chance.")
    ] = None,
    resume: Annotated[Path | None, typer.Option(help="Go on with the training in this folder.")] = None,
    finish: Annotated[
        Path | None, typer.Option(help="End the training in this folder: the model is what it has learnt so far.")
    ] = None,
) -> None:
    """Train a classifier; writes the model, its card, its history and pictures into a folder that `--model` takes.

    Ctrl-C stops it; `--resume FOLDER` goes on from the last whole epoch, to the same weights, `--finish FOLDER` ends it
    there. The training split is used without blank pictures and without twins of test pictures. PublicTest is looked at
    once, at the end.
    """
    from classifier.checkpoints import Checkpoints, read_run
    from classifier.quiet import choose_backend, native_stderr_held_back
    from pipeline.progress import waiting

    begun = resume or finish
    if begun is None and (data is None or output is None):
        raise InputError("--data and --output are needed, or --resume FOLDER")
    if begun is not None:
        _check_unchanged(context)
    if blend and start_from is None:
        raise InputError("--blend is of the weights that --start-from names")
    choose_backend()
    with waiting("starting"), native_stderr_held_back():
        from classifier import training
    if begun is not None:
        folder, run = begun, read_run(begun)
    else:
        assert data is not None and output is not None  # noqa: S101, PT018
        owner: Context = context.obj
        folder = output
        run = _run(
            owner, data, output, architecture, preset, teacher or [], start_from, classes=classes,
            from_scratch=from_scratch, epochs=epochs, batch_size=batch_size, rate=rate, seed=seed, blend=blend,
            without=without, radius=radius,
        )  # fmt: skip
    path = data or Path(run.data)
    if data is None and not path.exists():
        raise InputError(f"{path} is not there any more: say with --data where it lies now")
    examples = labelled(path)
    try:
        with _Bar(run.recipe.epochs) as bar:
            finished = training.train(
                examples, run, folder, bar.report, resume=begun is not None, end=finish is not None
            )
    except KeyboardInterrupt:
        if Checkpoints(folder):
            named = shlex.quote(str(folder))
            note(f"stopped; it goes on with: affectstream train --resume {named} (or ends, with --finish {named})")
        else:
            note("stopped before anything was kept")
        raise
    accuracy = ", ".join(f"{head} {value:.4f}" for head, value in finished.card.accuracy.items())
    typer.echo(f"{folder}: accuracy on {finished.measured.images:,} test pictures: {accuracy}")


def _check_unchanged(context: typer.Context) -> None:
    """Raises InputError where a training that has begun is told more than where its data lies now."""
    sources = {name: context.get_parameter_source(name) for name in context.params}
    told = [name for name, source in sources.items() if source is not None and source.name == "COMMANDLINE"]
    ways = [name for name in told if name in ("resume", "finish")]
    if len(ways) > 1:
        raise InputError("--resume goes on with a training, --finish ends it: one of both")
    if others := [name for name in told if name not in ("data", *ways)]:
        raise InputError(f"--{ways[0]} keeps to what the training was told: without --{others[0].replace('_', '-')}")


def _run(
    owner: Context, data: Path, output: Path, architecture: str, preset: str | None, teachers: list[str],
    start_from: str | None, **changes: Any,
) -> Any:  # fmt: skip
    from classifier.architectures import preset as recipe_of
    from classifier.checkpoints import Run
    from classifier.folders import find_model
    from classifier.recipe import changed

    def folder(model: str) -> str:
        return str(find_model(model, owner.settings({}).models).resolve())

    recipe = changed(recipe_of(architecture, preset or "ours"), distil=bool(teachers), **changes)
    data, output = data.expanduser().resolve(), output.resolve()
    said = {"data": data.name, "output": output.name, "architecture": architecture, "preset": preset}
    words = ["affectstream", "train"]
    for name, value in {**said, "start_from": start_from, **changes}.items():
        if value is not None and value is not False:
            words += [f"--{name.replace('_', '-')}", *([] if value is True else [str(value)])]
    for name in teachers:
        words += ["--teacher", name]
    return Run(
        recipe=recipe, data=str(data), command=shlex.join(words),
        teachers=tuple(folder(name) for name in teachers), start=folder(start_from) if start_from else None,
    )  # fmt: skip


class _Bar:
    """How far a training is, on stderr: a bar on a terminal, and a line for each epoch."""

    def __init__(self, epochs: int) -> None:
        from rich import progress as rich
        from rich.console import Console

        self._console = Console(stderr=True, highlight=False)
        self._rich = rich.Progress(
            rich.TextColumn("{task.description}"), rich.BarColumn(), rich.TaskProgressColumn(),
            rich.TextColumn("[dim]left"), rich.TimeRemainingColumn(), console=self._console, transient=True,
            disable=not sys.stderr.isatty(),
        )  # fmt: skip
        self._task = self._rich.add_task(f"epoch 1/{epochs}", total=None)
        self._first: int | None = None

    def __enter__(self) -> "_Bar":
        self._rich.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._rich.stop()

    def report(self, at: Any) -> None:
        """Takes a `training.Progress`."""
        if self._first is None:  # of a training that was resumed, the rest is what takes time
            self._first = at.step - 1
        self._rich.update(
            self._task, completed=at.step - self._first, total=at.steps - self._first,
            description=f"epoch {at.epoch}/{at.epochs}",
        )  # fmt: skip
        if at.row is not None:
            figures = {
                "loss": "loss", "held-out loss": "held_out_loss", "accuracy": "held_out_accuracy",
                "against votes": "held_out_accuracy_plus",
            }  # fmt: skip
            shown = [f"{name} {at.row[key]:.3f}" for name, key in figures.items() if key in at.row]
            line = "  ".join([f"epoch {at.epoch:>3}/{at.epochs}", *shown, f"{at.row['seconds']:.0f} s"])
            self._console.print(line, soft_wrap=True)


def evaluate(
    context: typer.Context,
    data: Annotated[Path, typer.Option(help=f"Data set: {DATA}")],
    model: Model = "default",
    split: Split = None,
    head: Annotated[str | None, typer.Option(help="Measure this head only.")] = None,
    classes: Annotated[
        str | None, typer.Option(help="On pictures of these emotions only, and no other answers: happy,sad,neutral.")
    ] = None,
    robustness: Annotated[
        bool, typer.Option("--robustness/--no-robustness", help="Also in the dark, blurred, small, and so on.")
    ] = True,
    report: Annotated[Path | None, typer.Option(help="Write the figures and pictures into this folder.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Measure a classifier on labelled faces, through the engine that the pipeline uses."""
    import msgspec

    from classifier.evaluation import choose_split, measure
    from classifier.folders import find_model, make_folder
    from classifier.learnt import learnt_by
    from classifier.recipe import emotions
    from pipeline.progress import counting

    owner: Context = context.obj
    folder = find_model(model, owner.settings({}).models)
    among = None if classes is None else emotions(classes)
    if report is not None:
        make_folder(report)
    examples = labelled(data)
    split = choose_split(examples, split)
    if learnt := int(learnt_by(folder, examples.of(split)).sum()):
        note(f"{folder.name} has learnt from {learnt:,} of these pictures: its accuracy on others is lower")
    with counting("measuring") as told:
        found, answers = measure(folder, examples, split, head=head, among=among, robustness=robustness, report=told)
    if as_json:
        typer.echo(msgspec.json.encode(found).decode())
    else:
        _show(found, f"{folder.name} on {data.name}, {split}")
    if report is not None:  # after the figures: they took minutes, and the disk may be full
        from classifier.plots import draw

        pictures = draw(report, answers, found)
        (report / "evaluation.json").write_bytes(msgspec.json.format(msgspec.json.encode(found)) + b"\n")
        note(f"{report}: evaluation.json, {', '.join(picture.name for picture in pictures)}")


def _show(found: Any, title: str) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from contracts.emotions import COLOURS

    console = Console(highlight=False)
    console.print(Text.assemble((title, "bold"), f": {found.images:,} pictures"))
    facts = {
        "accuracy": found.accuracy,
        "accuracy without twins": found.accuracy_without_twins,
        "accuracy against FER+'s majority": found.accuracy_plus,
        "macro F1": found.macro_f1,
        "expected calibration error": found.ece,
    }
    for name, value in facts.items():
        if value is not None:
            console.print(f"  {name:<34}{value:.4f}")
    table = Table(box=None, header_style="bold")
    # Widths, so that a narrow terminal cuts the last column alone.
    table.add_column("class", min_width=max(map(len, found.per_class)) + 2)
    for name in ("images", "precision", "recall", "specificity", "F1"):
        table.add_column(name, justify="right", min_width=max(len(name), 5))
    table.add_column("taken for", style="dim", no_wrap=True, overflow="ellipsis")
    for emotion, confusion in zip(found.per_class, found.confusion, strict=True):
        row = found.per_class[emotion]
        others = sorted(zip(confusion, found.per_class, strict=True), reverse=True)
        wrong = [f"{name} {count / max(sum(confusion), 1):.0%}" for count, name in others if name != emotion and count]
        table.add_row(
            f"[{COLOURS[emotion]}]■[/] {emotion}", f"{row['images']:,}", f"{row['precision']:.3f}",
            f"{row['recall']:.3f}", f"{row['specificity']:.3f}", f"{row['f1']:.3f}", ", ".join(wrong[:2]),
        )  # fmt: skip
    console.print(table)
    if found.robustness:
        console.print("\n[bold]accuracy when the pictures are …[/]")
        for name, value in found.robustness.items():
            bar = "█" * round(value * 30)
            console.print(f"  {name.replace('_', ' '):<14}{value:.4f}  [{COLOURS['surprise']}]{bar}[/]")
