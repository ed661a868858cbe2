"""`affectstream retain`: removes what is older than the settings allow."""

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.commands import Context, note

if TYPE_CHECKING:
    from storage.retention import Retained


def _days(what: str, table: str) -> Any:
    return typer.Option(min=1, max=36_500, metavar="DAYS", help=what, show_default=f"retention.{table}")


def retain(
    context: typer.Context,
    db: Annotated[
        str | None, typer.Option(help="Database: a file, or postgresql://…", show_default="storage.url")
    ] = None,
    observations: Annotated[int | None, _days("Keep faces in frames.", "observation")] = None,
    windows: Annotated[int | None, _days("Keep windows, of people and of cameras.", "window_stat")] = None,
    people: Annotated[int | None, _days("Keep people, with their windows and episodes.", "person")] = None,
    episodes: Annotated[int | None, _days("Keep stress episodes.", "stress_episode")] = None,
    dead_letters: Annotated[int | None, _days("Keep frames that could not be processed.", "dead_letter")] = None,
    runs: Annotated[int | None, _days("Keep runs that have ended.", "run")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Remove nothing, only count.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Remove what is older than the retention settings allow. What has no setting is kept for ever.

    Age is event time, in whole days of UTC. To be run once a day (cron, a systemd timer), also while runs go on.
    """
    from datetime import UTC, datetime

    from pipeline.asking import open_stored
    from pipeline.progress import waiting
    from storage.retention import retain as enforce

    owner: Context = context.obj
    days = {
        "observation": observations, "window_stat": windows, "person": people, "stress_episode": episodes,
        "dead_letter": dead_letters, "run": runs,
    }  # fmt: skip
    settings = owner.settings({"storage.url": db, **{f"retention.{table}": number for table, number in days.items()}})
    with open_stored(settings) as store, waiting("looking for what is too old"):
        done = enforce(store, settings.retention, datetime.now(UTC), dry_run=dry_run)
    if as_json:
        typer.echo(json.dumps(_as_object(done), indent=2))
    else:
        _show(done, "would be removed" if dry_run else "removed")
    if done.traces:
        note(done.traces)


def _show(done: "Retained", what: str) -> None:
    if not done.before:
        typer.echo("everything is kept for ever: set retention in affectstream.toml, or say how many days (--help)")
    for table, rows in done.removed.items():
        older = f"  (before {done.before[table]:%Y-%m-%d} UTC)" if table in done.before else "  (of people who went)"
        typer.echo(f"{rows:>11,}  {table} {what}{older}")


def _as_object(done: "Retained") -> dict[str, object]:
    return {"before": {table: at.isoformat() for table, at in done.before.items()}, "removed": dict(done.removed)}
