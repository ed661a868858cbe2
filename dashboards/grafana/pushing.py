"""Putting the data sources, the dashboards and the alert rules into a Grafana that runs, as often as one likes."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal
from urllib.parse import unquote, urlsplit

from contracts.errors import InputError
from contracts.settings import Settings
from dashboards.grafana import alerts
from dashboards.grafana.asking import POSTGRES, PROMETHEUS
from dashboards.grafana.catalog import dashboards
from dashboards.grafana.client import Grafana

Change = Literal["created", "updated", "unchanged"]
MODES: Final = ("disable", "require", "verify-ca", "verify-full")
SECRETS: Final = "secureJsonData"


@dataclass(frozen=True)
class Outcome:
    """What became of one object."""

    kind: str
    name: str
    change: Change
    trouble: str | None = None  # it is there, and of no use yet: why


def postgres_source(url: str) -> dict[str, Any]:
    """The data source of a database whose user only reads, from postgresql://USER:PASSWORD@HOST:PORT/DATABASE.

    HOST is Grafana's way to it. Raises InputError, which never names the password.
    """
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    form = "say postgresql://affectstream_grafana:PASSWORD@HOST:5432/affectstream"
    try:
        parts = make_url(url)
    except (ArgumentError, ValueError):
        raise InputError(f"--db is no address of a database; {form}") from None
    if parts.get_backend_name() != "postgresql":
        raise InputError(f"--db must be a Postgres, as Grafana reads no {parts.get_backend_name()}; {form}")
    if "@" in (parts.host or ""):  # what stands before it belongs to the password, and Grafana shows a host
        raise InputError(f"--db: an @ in the user's name or password is written %40; {form}")
    missing = [name for name in ("username", "password", "host", "database") if not getattr(parts, name)]
    if missing:
        raise InputError(f"--db has no {' and no '.join(missing)}; {form}")
    mode = parts.query.get("sslmode", "require")
    if mode not in MODES:
        raise InputError(f"--db: Grafana knows sslmode {', '.join(MODES)}, and not {mode}")
    host = f"[{parts.host}]" if ":" in str(parts.host) else parts.host
    return {
        "uid": POSTGRES.uid, "name": "affectstream", "type": POSTGRES.type_val, "access": "proxy",
        "url": f"{host}:{parts.port or 5432}", "user": parts.username, "basicAuth": False,
        "jsonData": {"database": parts.database, "sslmode": mode, "postgresVersion": 1500, "maxOpenConns": 10},
        SECRETS: {"password": str(parts.password)},
    }  # fmt: skip


def prometheus_source(url: str) -> dict[str, Any]:
    """The data source of a Prometheus; user and password in the address, if any, become basic authentication.

    Raises InputError, which never names the password.
    """
    form = "say http://HOST:9090"
    try:
        parts = urlsplit(url)
        place = f"{parts.hostname}:{parts.port}" if parts.port else parts.hostname
    except ValueError:
        raise InputError(f"--prometheus is no address; {form}") from None
    if parts.scheme not in {"http", "https"} or not place:
        raise InputError(f"--prometheus is no address; {form}")
    user = unquote(parts.username or "")
    return {
        "uid": PROMETHEUS.uid, "name": "affectstream metrics", "type": PROMETHEUS.type_val, "access": "proxy",
        "url": f"{parts.scheme}://{place}{parts.path}", "basicAuth": bool(user), "basicAuthUser": user,
        "jsonData": {"httpMethod": "POST", "timeInterval": "15s"},
        SECRETS: {"basicAuthPassword": unquote(parts.password or "")} if user else {},
    }  # fmt: skip


class Push:
    """One push. Where it breaks off, what it said is done, and it may be repeated."""

    def __init__(self, grafana: Grafana, settings: Settings, *, dry_run: bool = False) -> None:
        """A dry run asks, and changes nothing."""
        self._grafana: Final = grafana
        self._settings: Final = settings
        self._wet: Final = not dry_run

    def __call__(
        self, folder: str, sources: Mapping[str, Mapping[str, Any]], *, with_alerts: bool = True
    ) -> Iterator[Outcome]:
        """Puts all there. `sources` by UID: of those that are missing, what is there stays.

        Raises GrafanaError; and InputError where the data source for Postgres is neither given nor there.
        """
        self._grafana.look()
        there = {uid: self._grafana.datasource(uid) for uid in (str(POSTGRES.uid), str(PROMETHEUS.uid))}
        if not sources.get(str(POSTGRES.uid)) and not there[str(POSTGRES.uid)]:
            raise InputError("Grafana has no data source affectstream-postgres yet; give --db, the reader's address")
        for uid, source in sources.items():
            yield self._source(source, there[uid])
        place = next((known for known in self._grafana.folders() if folder in {known["title"], known["uid"]}), None)
        yield Outcome("folder", folder, "unchanged" if place else "created")
        folder_uid = place["uid"] if place else self._grafana.create_folder(folder) if self._wet else ""
        for dashboard in dashboards(self._settings).values():
            yield self._dashboard(dashboard, folder_uid)
        if with_alerts:
            usable = {uid for uid in there if there[uid] or uid in sources}
            for rule in alerts.rules(folder_uid, self._settings):
                if {query["datasourceUid"] for query in rule["data"]} <= {*usable, "__expr__"}:
                    yield self._rule(rule)

    def _source(self, wanted: Mapping[str, Any], there: Mapping[str, Any] | None) -> Outcome:
        shown = {name: value for name, value in wanted.items() if name != SECRETS}
        uid, change = wanted["uid"], _change(there, shown)
        if there and change == "unchanged":
            known = there.get("secureJsonFields") or {}
            # Nobody can read a password from Grafana; that it works is the same to us.
            if any(not known.get(secret) for secret in wanted[SECRETS]) or self._grafana.complaint(uid):
                change = "updated"
        if self._wet and not there:
            self._grafana.create_datasource(wanted)
        elif self._wet and there and change == "updated":
            kept = {**(there.get("jsonData") or {}), **wanted["jsonData"]}
            self._grafana.update_datasource({**wanted, "jsonData": kept, "isDefault": there.get("isDefault", False)})
        trouble = self._grafana.complaint(uid) if self._wet and change != "unchanged" else None
        return Outcome("data source", uid, change, trouble)

    def _dashboard(self, wanted: Mapping[str, Any], folder_uid: str) -> Outcome:
        found = self._grafana.dashboard(wanted["uid"])
        there = found and {**found["dashboard"], "folderUid": found["meta"].get("folderUid", "")}
        change = _change(there, {**wanted, "id": None, "version": None, "folderUid": folder_uid})
        if self._wet and change != "unchanged":
            # With the version that we have looked at, so that nobody's change of this moment is lost.
            ours = {**wanted, **{name: there[name] for name in ("id", "version") if there}}
            message = "affectstream dashboards push"
            self._grafana.save_dashboard(
                {"dashboard": ours, "folderUid": folder_uid, "message": message, "overwrite": False}
            )
        return Outcome("dashboard", wanted["uid"], change)

    def _rule(self, wanted: Mapping[str, Any]) -> Outcome:
        change = _change(self._grafana.rule(wanted["uid"]), {**wanted, "orgID": None})
        if self._wet and change == "created":
            self._grafana.create_rule(wanted)
        elif self._wet and change == "updated":
            self._grafana.update_rule(wanted)
        return Outcome("alert rule", wanted["uid"], change)


def _change(there: Mapping[str, Any] | None, wanted: Mapping[str, Any]) -> Change:
    return "created" if there is None else "unchanged" if _has(there, wanted) else "updated"


def _has(there: Any, wanted: Any) -> bool:
    """Whether all of what is wanted is there. Grafana adds fields of its own, and leaves out what is empty."""
    if isinstance(wanted, Mapping):
        known = there or {}
        return isinstance(known, Mapping) and all(
            value is None or _has(known.get(name), value) for name, value in wanted.items()
        )
    if not wanted:
        return not there
    if isinstance(wanted, list):
        return isinstance(there, list) and len(there) == len(wanted) and all(map(_has, there, wanted))
    return bool(there == wanted)
