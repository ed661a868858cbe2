"""The command line: `affectstream COMMAND`. Errors are one line on stderr; exit 2 for bad input, 1 for a failure."""

import errno
import logging
import os
import signal
import sys
import traceback
from contextlib import suppress
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated, Final, NoReturn

import typer
from typer.exceptions import TyperException

from contracts.errors import AffectstreamError
from pipeline.commands import Context
from pipeline.commands.aggregate import aggregate
from pipeline.commands.bench import bench_app
from pipeline.commands.calibrate import calibrate
from pipeline.commands.cameras import cameras_app
from pipeline.commands.classify import classify
from pipeline.commands.dashboards import dashboards_app
from pipeline.commands.data import data_app
from pipeline.commands.db import db_app
from pipeline.commands.dead_letters import dead_letters_app
from pipeline.commands.detect import detect
from pipeline.commands.doctor import doctor
from pipeline.commands.export import export
from pipeline.commands.export_history import export_history
from pipeline.commands.forget import forget
from pipeline.commands.history import history
from pipeline.commands.ingest import ingest
from pipeline.commands.live import live
from pipeline.commands.models import models_app
from pipeline.commands.replay import replay
from pipeline.commands.report import report
from pipeline.commands.retain import retain
from pipeline.commands.run import run
from pipeline.commands.settings import show_settings
from pipeline.commands.train import evaluate, train
from pipeline.commands.up import up

SYSTEMS: Final = {
    errno.EACCES, errno.EDQUOT, errno.EEXIST, errno.EISDIR, errno.ENAMETOOLONG, errno.ENOSPC, errno.ENOTDIR,
    errno.EPERM, errno.EROFS,
}  # fmt: skip
"""What the system refuses for want of rights or room: no fault of ours."""

INTERRUPTED: Final = 130
"""The code of a command that Ctrl-C has ended."""

app = typer.Typer(
    name="affectstream",
    help="Cameras and recorded video in; emotion and stress statistics per person and per window out, in SQL.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
app.command(rich_help_panel="Watch")(run)
app.command(rich_help_panel="Watch")(live)
app.command(rich_help_panel="Workers")(aggregate)
app.command(rich_help_panel="Workers")(up)
app.command(rich_help_panel="Workers")(replay)
app.command(rich_help_panel="Workers")(ingest)
app.command(rich_help_panel="Workers")(detect)
app.command(rich_help_panel="Workers")(classify)
app.command(rich_help_panel="Models")(train)
app.command(rich_help_panel="Models")(evaluate)
app.command(rich_help_panel="Models")(calibrate)
app.command(rich_help_panel="Models")(export)
app.command(rich_help_panel="Data")(forget)
app.command(rich_help_panel="Data")(retain)
app.command(rich_help_panel="Data")(history)
app.command(rich_help_panel="Data", name="export-history")(export_history)
app.command(rich_help_panel="Data")(report)
app.command(rich_help_panel="Settings")(doctor)
app.command(rich_help_panel="Settings", name="settings")(show_settings)
app.add_typer(bench_app, name="bench", rich_help_panel="Settings")
app.add_typer(dead_letters_app, name="dead-letters", rich_help_panel="Workers")
app.add_typer(db_app, name="db", rich_help_panel="Data")
app.add_typer(dashboards_app, name="dashboards", rich_help_panel="Data")
app.add_typer(cameras_app, name="cameras", rich_help_panel="Workers")
app.add_typer(models_app, name="models", rich_help_panel="Models")
app.add_typer(data_app, name="data", rich_help_panel="Models")


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"affectstream {version('affectstream')}")
        raise typer.Exit


@app.callback()
def common(
    context: typer.Context,
    config: Annotated[
        Path | None, typer.Option(help="Settings file; affectstream.toml of this folder if there is one.")
    ] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error, and the log.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """What all commands share."""
    context.obj = Context(config=config, debug=debug)
    logging.basicConfig(
        level=logging.INFO if debug else logging.WARNING,
        format="%(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
    )


def main(arguments: list[str] | None = None) -> NoReturn:
    """The entry point: runs a command and exits with its code. Never shows a traceback without --debug."""
    given = sys.argv[1:] if arguments is None else arguments
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a supervisor's wish to end is Ctrl-C to us
    _find_words()
    try:
        code = app(given, standalone_mode=False)
    except KeyboardInterrupt:
        code = INTERRUPTED
    except (AffectstreamError, TyperException) as error:
        if "--debug" in given:
            traceback.print_exc()
        text = error.format_message() if isinstance(error, TyperException) else str(error)
        if text:  # none where the help was shown instead
            print("affectstream:", " ".join(text.split()), file=sys.stderr)
        code = error.exit_code
    except BrokenPipeError:  # the reader of our output, `head` say, has gone
        sys.stderr.close()
        code = 1
    except Exception as error:  # noqa: BLE001  (one line, and how to see more)
        if "--debug" in given:
            traceback.print_exc()
        print("affectstream:", _unforeseen(error), file=sys.stderr)
        code = 1
    if code == INTERRUPTED:
        _leave_at_once()
    sys.exit(code if isinstance(code, int) else 0)


def _find_words() -> None:
    """Nothing fails because nobody listens, or for want of a letter.

    A stream that was closed (`>&-`) is none to Python, and whoever asks it something fails; where the locale has no
    letter for what is to be said, `?` stands for it.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115, PTH123  (open until the end)
        elif isinstance(stream, TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="replace")


def _leave_at_once() -> NoReturn:
    """After Ctrl-C. Asked twice, a run leaves its threads at work: Python's own end would tear them out of C++, which
    aborts with words of its own."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(INTERRUPTED)


def _unforeseen(error: Exception) -> str:
    if isinstance(error, FileNotFoundError) and error.filename is None:  # nothing else is missing without a name
        return "the current folder is not there any more; change to one that is"
    if isinstance(error, OSError) and error.errno in SYSTEMS:
        return f"{error.filename or 'what was to be written'}: {error.strerror}"
    return (
        f"unexpected {type(error).__name__}: {' '.join(str(error).split())} "
        "(a fault of affectstream; affectstream --debug … shows where)"
    )
