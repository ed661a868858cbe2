"""`affectstream db`: care of the database."""

from typing import Annotated

import typer

from pipeline.commands import Context

db_app = typer.Typer(help="Care of the database (storage.url): roles and day partitions.", no_args_is_help=True)
Database = Annotated[str | None, typer.Option(help="Database: postgresql://…", show_default="storage.url")]


@db_app.command()
def roles(
    context: typer.Context,
    db: Database = None,
    apply: Annotated[bool, typer.Option("--apply", help="Do it, instead of showing the SQL.")] = False,
) -> None:
    """Show or make two roles in Postgres: a writer for the workers, and a reader of the views for dashboards.

    Neither can log in by itself: GRANT affectstream_reader TO grafana, say.
    """
    from storage.roles import READER, WRITER, make_roles, roles_sql

    if not apply:
        typer.echo(";\n".join(roles_sql()) + ";")
        return
    from storage import open_store

    common: Context = context.obj
    with open_store(common.settings({"storage.url": db}).storage) as store:
        make_roles(store)
    typer.echo(f"{WRITER} may write, {READER} may read the views; grant them to the users that log in")


@db_app.command()
def partitions(
    context: typer.Context,
    db: Database = None,
    days: Annotated[int, typer.Option(min=1, max=3660, help="Today and the days after it.")] = 7,
) -> None:
    """Make the day partitions of Postgres ahead. The workers make what is missing themselves."""
    from storage import open_store
    from storage.roles import make_days

    common: Context = context.obj
    with open_store(common.settings({"storage.url": db}).storage) as store:
        made = make_days(store, days)
    typer.echo(f"{made[0]} to {made[-1]}")
