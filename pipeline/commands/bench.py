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

        return stages.measure(video, settings, frames=frames, rounds=rounds, batches=batch or stages.BATCHES, note=note)

    report("stages", measured, output)


@bench_app.command()
def storage(
    postgres: Annotated[
        str | None, typer.Option(metavar="URL", help="A Postgres database to write to as well.", show_default=False)
    ] = None,
    server: Annotated[bool, typer.Option("--server", help="Start a Postgres for it; from a checkout only.")] = False,
    rows: Annotated[int, typer.Option(min=1, help="Observations of each measurement.")] = 40_000,
    batch: Annotated[
        list[int] | None,
        typer.Option(min=1, help="Observations of a transaction; repeatable.", show_default="2000, 100"),
    ] = None,
    rounds: Rounds = 3,
    output: Output = None,
) -> None:
    """Observations into SQLite, and into Postgres: new ones, and the same again."""

    def measured() -> "list[Table]":
        from benchmarks import storage

        return storage.measure(
            postgres=postgres, server=server, rows=rows, batches=batch or storage.BATCHES, rounds=rounds, note=note
        )

    report("storage", measured, output)


@bench_app.command()
def distributed(
    context: typer.Context,
    video: Annotated[Path, typer.Argument(metavar="VIDEO", help="A recording.", show_default=False)],
    each: Annotated[
        list[int] | None, typer.Option(min=1, help="So many of each worker; repeatable.", show_default="1")
    ] = None,
    frames: Annotated[int, typer.Option(min=1, help="Frames for the steps by themselves.")] = 100,
    rounds: Rounds = 2,
    output: Output = None,
) -> None:
    """The workers beside one process, each step of a frame's way, batches under load; from a checkout only."""
    settings = _settings(context, video)

    def measured() -> "list[Table]":
        from benchmarks import distributed

        return distributed.measure(video, settings, rounds=rounds, each=each or [1], frames=frames, note=note)

    report("distributed", measured, output)


@bench_app.command()
def scaling(
    context: typer.Context,
    curves: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[CURVE...]", help="faces, sizes, cameras, memory, time.", show_default="all; time with --hours"
        ),
    ] = None,
    seconds: Annotated[float, typer.Option(min=2, max=600, help="Length of each recording; even seconds.")] = 8.0,
    video: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Take the faces from this recording.", show_default="from the demo"),
    ] = None,
    hours: Annotated[
        float | None,
        typer.Option(min=0.01, help="Watch memory for so long, too, on a recording played again and again."),
    ] = None,
    rounds: Rounds = 3,
    output: Output = None,
) -> None:
    """How cost grows with faces, pixels and cameras, and memory with cameras and time; recordings are made for it."""
    settings = _settings(context, *([video] if video else []))

    def measured() -> "list[Table]":
        from benchmarks import scaling

        return scaling.measure(
            settings, curves=curves or scaling.CURVES, rounds=rounds, seconds=seconds,
            people=str(video) if video else None, hours=hours, note=note,
        )  # fmt: skip

    report("scaling", measured, output)


@bench_app.command()
def live(
    context: typer.Context,
    video: Annotated[Path, typer.Argument(metavar="VIDEO", help="A recording.", show_default=False)],
    rounds: Rounds = 3,
    seconds: Annotated[float, typer.Option(min=0.1, help="So long lasts the longer run of each way.")] = 15.0,
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Have Chromium look, too, on this machine.")
    ] = True,
    output: Output = None,
) -> None:
    """What the live page costs a run, with nobody, a client and a browser looking."""
    if _settings(context, video).live.token is not None:
        raise InputError("measure without live.token: the viewers have none")
    owner: Context = context.obj
    options = ["--config", str(owner.config)] if owner.config else []

    def measured() -> "list[Table]":
        from benchmarks import live

        return live.measure(video, rounds=rounds, seconds=seconds, with_browser=browser, options=options, note=note)

    report("live", measured, output)


def _settings(context: typer.Context, *videos: Path) -> "Settings":
    """The user's settings, where there are the recordings."""
    for video in videos:
        if not video.is_file():
            raise InputError(f"no recording {video}")
    owner: Context = context.obj
    return owner.settings({})


def report(name: str, measure: "Callable[[], list[Table]]", output: Path | None) -> None:
    """Measures, prints, and writes what was measured."""
    from benchmarks.result import conclude, machine

    if output is not None and not output.parent.is_dir():
        raise InputError(f"no folder {output.parent}")
    where = machine()
    conclude(name, " ".join(["affectstream", *map(_public, sys.argv[1:])]), where, measure(), output)


def _public(word: str) -> str:
    """A word of the command as it is kept: folders are nobody's business, nor are the passwords of addresses."""
    scheme, address, _ = word.partition("://")
    if address:
        return f"{scheme}://…"
    return Path(word).name if "/" in word else word
