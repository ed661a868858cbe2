"""`affectstream dashboards push`: the dashboards into a Grafana that runs."""

from pathlib import Path
from typing import Annotated

import typer

from contracts.errors import InputError
from pipeline.commands import Context, note


def push(
    context: typer.Context,
    url: Annotated[str, typer.Option(help="Grafana's address, as its pages begin.", show_default=False)],
    token: Annotated[
        str,
        typer.Option(
            envvar="AFFECTSTREAM_GRAFANA_TOKEN",
            help="Token of a service account with the role Admin. The variable keeps it out of the list of processes.",
            show_default=False,
        ),
    ] = "",
    folder: Annotated[str, typer.Option(help="Title of the folder they go into; made where there is none.")] = (
        "affectstream"
    ),
    db: Annotated[
        str | None,
        typer.Option(
            envvar="AFFECTSTREAM_GRAFANA_DB",
            metavar="URL",
            help="Database as Grafana reaches it, with the user that only reads: postgresql://USER:PASSWORD@HOST/NAME. "
            "TLS is required unless it says ?sslmode=disable.",
            show_default="the data source that is there",
        ),
    ] = None,
    prometheus: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Prometheus as Grafana reaches it; without one, Pipeline is empty.",
            show_default="the data source that is there",
        ),
    ] = None,
    alerts: Annotated[
        bool, typer.Option(help="Alert rules, too: those that were changed in Grafana become ours again.")
    ] = True,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and change nothing.")] = False,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds to wait for each answer.")] = 15.0,
) -> None:
    """Put data sources, dashboards and alert rules into a Grafana that runs.

    It may be repeated: what is there already as it should be is left alone, whatever has been changed is put right.
    """
    from dashboards.grafana.client import Grafana
    from dashboards.grafana.pushing import Push, postgres_source, prometheus_source

    if not token:
        raise InputError(
            "no token; set AFFECTSTREAM_GRAFANA_TOKEN to that of a service account with the role Admin (in Grafana: "
            "Administration, Users and access, Service accounts)"
        )
    if not folder.strip():
        raise InputError("--folder needs a title")
    owner: Context = context.obj
    sources = [postgres_source(db)] if db else []
    sources += [prometheus_source(prometheus)] if prometheus else []
    grafana = Grafana(url, token, timeout=timeout)
    done = Push(grafana, owner.settings({}), dry_run=dry_run)
    troubled = []
    for outcome in done(folder, {source["uid"]: source for source in sources}, with_alerts=alerts):
        change = f"would be {outcome.change}" if dry_run and outcome.change != "unchanged" else outcome.change
        typer.echo(f"{change:<16}  {outcome.kind:<11}  {outcome.name}")
        if outcome.trouble:
            troubled.append(outcome)
    for outcome in troubled:
        note(f"Grafana cannot use {outcome.kind} {outcome.name} yet: {outcome.trouble}")


def export_alerts(
    context: typer.Context,
    file: Annotated[
        Path, typer.Argument(help="File to write, in the folder that Grafana reads: provisioning/alerting.")
    ],
    folder: Annotated[str, typer.Option(help="Title of the folder that the dashboards are in.")] = "affectstream",
) -> None:
    """Write the alert rules as a file that Grafana provisions."""
    from dashboards.grafana.alerts import provisioning

    owner: Context = context.obj
    text = provisioning(folder, owner.settings({}))
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot write {file}: {error.strerror or error}; name a file that you may write") from None
    typer.echo(file)
