"""`affectstream bench`: how fast it is on this machine, in tables and as JSON."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from contracts.errors import InputError
from pipeline.commands import Context, note

if TYPE_CHECKING:
    from benchmarks.result import Table
    from contracts.settings import Settings

bench_app = typer.Typer(help="Measure speed on this machine, in tables and as JSON.", no_args_is_help=True)

Output = Annotated[
    Path | None, typer.Option("--json", metavar="FILE", help="Write the figures there too.", show_default=False)
]
Rounds = Annotated[int, typer.Option(min=1, help="Everything is measured so many times, in turn.")]


@bench_app.command()
def e2e(
    context: typer.Context,
    videos: Annotated[list[Path], typer.Argument(metavar="VIDEO...", help="Recordings.", show_default=False)],
    rounds: Rounds = 3,
    with_fer: Annotated[
        bool, typer.Option("--with-fer", help="Measure the package fer beside it; installs it under build/.")
    ] = False,
    output: Output = None,
) -> None:
    """The whole job in one process, beside decoding and detection alone; the start; where the time goes."""
    settings = _settings(context, *videos)

    def measured() -> "list[Table]":
        from benchmarks import end_to_end

        return end_to_end.measure(videos, settings, rounds=rounds, with_fer=with_fer, note=note)

    report("e2e", measured, output)


@bench_app.command()
def stages(
    context: typer.Context,
    video: Annotated[Path, typer.Argument(metavar="VIDEO", help="A recording.", show_default=False)],
    frames: Annotated[int, typer.Option(min=1, help="So many of its frames.")] = 300,
    batch: Annotated[
        list[int] | None, typer.Option(min=1, max=1024, help="Batch size; repeatable.", show_default="1, 2, 4 … 512")
    ] = None,
    rounds: Rounds = 3,
    output: Output = None,
) -> None:
    """Each stage by itself: what a frame costs where, and the network's speed by batch size."""
    settings = _settings(context, video)

    def measured() -> "list[Table]":
        from benchmarks import stages

        return stages.measure(
            video, settings, frames=frames, rounds=rounds, batches=batch or stages.BATCHES, note=note
        )

    report("stages", measured, output)


def _settings(context: typer.Context, *videos: Path) -> "Settings":
    """The user's settings, where there are the recordings."""
    for video in videos:
        if not video.is_file():
            raise InputError(f"no recording {video}")
    owner: Context = context.obj
    return owner.settings({})


def report(name: str, measure: "Callable[[], list[Table]]", output: Path | None) -> None:
    """Measures, prints, and writes what was measured."""
    from benchmarks.result import machine, result, show, write

    if output is not None and not output.parent.is_dir():
        raise InputError(f"no folder {output.parent}")
    where = machine()
    made = result(name, " ".join(["affectstream", *sys.argv[1:]]), where, measure())
    show(made)
    if output is not None:
        write(made, output)
