"""`affectstream up`: all workers on this machine."""

import signal
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from contracts.errors import AffectstreamError, InputError, SettingsError
from pipeline.commands import Context, note
from pipeline.supervisor import Supervisor, Task

if TYPE_CHECKING:
    from contracts.settings import Settings


def up(
    context: typer.Context,
    sources: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[SOURCE]...", show_default=False, help="Read these, besides the cameras that were added."
        ),
    ] = None,
    ingest: Annotated[int, typer.Option(min=0, max=64, help="Workers that read the cameras.")] = 1,
    detect: Annotated[int, typer.Option(min=0, max=64, help="Workers that find faces.")] = 1,
    classify: Annotated[int, typer.Option(min=0, max=64, help="Workers that classify them.")] = 1,
    aggregate: Annotated[int, typer.Option(min=0, max=64, help="Workers that aggregate and store.")] = 1,
) -> None:
    """Run all workers on this machine, against the Redis, Kafka and Postgres of the settings.

    What dies is started again; Ctrl-C ends all in good order, twice at once. The cameras are those of `affectstream
    cameras`. With worker.port set, the workers serve health and metrics on that port and the following ones.
    """
    owner: Context = context.obj
    settings = owner.settings({})
    if not settings.storage.url.startswith("postgres"):
        raise SettingsError("storage.url: the workers share a Postgres database; write postgresql://USER:…@HOST/NAME")
    counts = {"aggregate": aggregate, "classify": classify, "detect": detect, "ingest": ingest}
    tasks = worker_tasks(owner, settings, counts, sources or [])
    if not tasks:
        raise InputError("there is nothing to do with no worker at all")
    supervisor = Supervisor(tasks)

    def end(number: int, frame: object) -> None:
        supervisor.stop(at_once=asked.pop() if asked else True)

    asked = [False]
    before = [(number, signal.signal(number, end)) for number in (signal.SIGINT, signal.SIGTERM)]
    try:
        with supervisor:
            note(f"{len(tasks)} workers: {', '.join(task.name for task in tasks)}; Ctrl-C ends them")
            while not supervisor.wait(0.5):
                pass
    finally:
        for number, handler in before:
            signal.signal(number, handler)
    if supervisor.failed:
        raise AffectstreamError(f"{supervisor.failed} could not be kept alive; what it said stands above")


def worker_tasks(owner: Context, settings: "Settings", counts: dict[str, int], sources: list[str]) -> list[Task]:
    """The processes: who consumes starts before who produces, and so ends after."""
    base = [sys.executable, "-m", "pipeline", *(["--debug"] if owner.debug else [])]
    base += ["--config", str(owner.config)] if owner.config else []
    wanted = [
        (worker, f"{worker}-{number}", [*base, worker])
        for worker, count in counts.items()
        for number in range(1, count + 1)
    ]
    if sources:
        wanted.append(("ingest", "ingest-sources", [*base, "ingest", *sources]))
    port = settings.worker.port
    return [
        Task(
            name, tuple(command), group=worker, once=name == "ingest-sources",
            environment={"AFFECTSTREAM_WORKER_PORT": str(port + number if port else 0)},
        )
        for number, (worker, name, command) in enumerate(wanted)
    ]  # fmt: skip
