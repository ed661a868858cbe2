"""`dashboards push` puts everything into a Grafana, as often as one likes, and says what it did or why it could not."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from tests.dashboards.grafana_server import SECRET, TOKEN, GrafanaServer, grafana_server
from tests.pipeline.conftest import Command, Outcome

READER = f"postgresql://affectstream_grafana:{SECRET}@postgres:5433/affectstream?sslmode=disable"
PROMETHEUS = "http://prometheus:9090"
OVERVIEW = "affectstream-overview"
RULES = ["stress", "silent", "dead-letters", "lag", "missing"]
ALL = [
    *(("data source", name) for name in ("affectstream-postgres", "affectstream-prometheus")),
    ("folder", "affectstream"),
    *(("dashboard", f"affectstream-{name}") for name in ("overview", "camera", "person", "pipeline")),
    *(("alert rule", f"affectstream-{name}") for name in RULES),
]

Push = Callable[..., Outcome]


@pytest.fixture
def grafana() -> Iterator[GrafanaServer]:
    with grafana_server() as server:
        yield server
        assert server.faults == [], "requests that Grafana would not understand"


@pytest.fixture
def push(affectstream: Command, monkeypatch: pytest.MonkeyPatch) -> Push:
    """Pushes to a server or a URL; nothing that is said ever has the token or the password in it."""
    monkeypatch.setenv("AFFECTSTREAM_GRAFANA_TOKEN", TOKEN)
    monkeypatch.delenv("AFFECTSTREAM_GRAFANA_DB", raising=False)

    def run(to: GrafanaServer | str, *flags: object) -> Outcome:
        url = to if isinstance(to, str) else to.url
        done = affectstream("dashboards", "push", "--url", url, *flags)
        for secret in (TOKEN, SECRET, "Traceback"):
            assert secret not in done.out + done.err
        return done

    return run


def changes(done: Outcome) -> dict[tuple[str, str], str]:
    """(kind, name) -> what became of it."""
    assert done.code == 0, done.err
    rows = [[part.strip() for part in line.split("  ") if part] for line in done.out.splitlines()]
    return {(kind, name): change for change, kind, name in rows}


def complaint(done: Outcome, code: int = 1) -> str:
    """The one line that says what is wrong."""
    (line,) = done.err.splitlines()
    assert done.code == code, line
    return line.removeprefix("affectstream: ")


def test_everything_is_created_once_and_found_unchanged_from_then_on(grafana: GrafanaServer, push: Push) -> None:
    assert changes(push(grafana, "--db", READER, "--prometheus", PROMETHEUS)) == dict.fromkeys(ALL, "created")
    written = list(grafana.written)
    assert changes(push(grafana, "--db", READER, "--prometheus", PROMETHEUS)) == dict.fromkeys(ALL, "unchanged")
    assert changes(push(grafana)) == dict.fromkeys(ALL[2:], "unchanged")
    assert grafana.written == written
    (folder,) = grafana.folders
    assert {kept["folder"] for kept in grafana.dashboards.values()} == {folder}
    assert {rule["folderUID"] for rule in grafana.rules.values()} == {folder}


def test_the_data_sources_are_as_grafana_keeps_them(grafana: GrafanaServer, push: Push) -> None:
    push(grafana, "--db", READER, "--prometheus", "https://watcher:se%20cret@prometheus.example/path")
    postgres = grafana.datasources["affectstream-postgres"]
    assert (postgres["type"], postgres["url"], postgres["user"]) == (
        "grafana-postgresql-datasource", "postgres:5433", "affectstream_grafana",
    )  # fmt: skip
    assert (postgres["jsonData"]["database"], postgres["jsonData"]["sslmode"]) == ("affectstream", "disable")
    assert grafana.secrets["affectstream-postgres"] == {"password": SECRET}
    prometheus = grafana.datasources["affectstream-prometheus"]
    assert (prometheus["url"], prometheus["basicAuthUser"]) == ("https://prometheus.example/path", "watcher")
    assert grafana.secrets["affectstream-prometheus"] == {"basicAuthPassword": "se cret"}


def test_what_was_changed_there_is_put_right_and_the_rest_left_alone(grafana: GrafanaServer, push: Push) -> None:
    push(grafana, "--db", READER, "--prometheus", PROMETHEUS)
    grafana.dashboards[OVERVIEW]["dashboard"]["panels"].pop()
    grafana.dashboards["affectstream-camera"]["folder"] = "elsewhere"
    grafana.rules["affectstream-stress"]["data"][1]["model"]["conditions"][0]["evaluator"]["params"] = [0.9]
    grafana.datasources["affectstream-prometheus"]["url"] = "http://old:9090"
    done = changes(push(grafana, "--db", READER, "--prometheus", PROMETHEUS))
    assert {one for one, change in done.items() if change != "unchanged"} == {
        ("dashboard", OVERVIEW), ("dashboard", "affectstream-camera"), ("alert rule", "affectstream-stress"),
        ("data source", "affectstream-prometheus"),
    }  # fmt: skip
    assert set(done.values()) == {"unchanged", "updated"}
    assert grafana.dashboards[OVERVIEW]["dashboard"]["version"] == 2
    assert set(changes(push(grafana, "--db", READER, "--prometheus", PROMETHEUS)).values()) == {"unchanged"}


def test_a_new_password_goes_there_and_what_the_user_set_stays(grafana: GrafanaServer, push: Push) -> None:
    push(grafana, "--db", READER)
    source = grafana.datasources["affectstream-postgres"]
    source["isDefault"], source["jsonData"]["connMaxLifetime"] = True, 600
    grafana.password = "another"
    done = changes(push(grafana, "--db", READER.replace(SECRET, "another")))
    assert done["data source", "affectstream-postgres"] == "updated"
    assert grafana.secrets["affectstream-postgres"] == {"password": "another"}
    kept = grafana.datasources["affectstream-postgres"]
    assert (kept["isDefault"], kept["jsonData"]["connMaxLifetime"]) == (True, 600)


def test_a_database_that_grafana_cannot_use_is_told(grafana: GrafanaServer, push: Push) -> None:
    grafana.password = "another"
    done = push(grafana, "--db", READER)
    assert complaint(done, 0) == (
        "Grafana cannot use data source affectstream-postgres yet: pq: password authentication failed"
    )


def test_a_dry_run_says_all_and_changes_nothing(grafana: GrafanaServer, push: Push) -> None:
    flags = ("--db", READER, "--prometheus", PROMETHEUS)
    assert changes(push(grafana, *flags, "--dry-run")) == dict.fromkeys(ALL, "would be created")
    assert grafana.written == []
    push(grafana, *flags)
    grafana.dashboards[OVERVIEW]["dashboard"]["title"] = "mine"
    written = list(grafana.written)
    done = changes(push(grafana, *flags, "--dry-run"))
    assert {one for one, change in done.items() if change == "would be updated"} == {("dashboard", OVERVIEW)}
    assert grafana.written == written


def test_without_prometheus_its_rules_stay_away_and_without_alerts_all(grafana: GrafanaServer, push: Push) -> None:
    push(grafana, "--db", READER, "--no-alerts")
    assert grafana.rules == {}
    push(grafana)
    assert set(grafana.rules) == {f"affectstream-{name}" for name in RULES[:3]}


def test_rules_can_still_be_changed_in_grafana(grafana: GrafanaServer, push: Push) -> None:
    push(grafana, "--db", READER)
    assert {rule["provenance"] for rule in grafana.rules.values()} == {""}


def test_a_folder_that_is_there_is_taken(grafana: GrafanaServer, push: Push) -> None:
    grafana.folders["ops"] = {"id": 1, "uid": "ops", "title": "What runs", "version": 3}
    assert changes(push(grafana, "--db", READER, "--folder", "What runs"))["folder", "What runs"] == "unchanged"
    assert list(grafana.folders) == ["ops"]


def test_it_may_be_served_under_a_path(push: Push) -> None:
    with grafana_server("/watch/grafana") as grafana:
        assert set(changes(push(f"{grafana.url}/", "--db", READER)).values()) == {"created"}
        assert grafana.faults == []


def test_the_address_of_the_database_may_come_from_the_environment(
    grafana: GrafanaServer, push: Push, affectstream: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AFFECTSTREAM_GRAFANA_DB", READER)
    assert changes(push(grafana))["data source", "affectstream-postgres"] == "created"
    assert affectstream("settings").code == 0  # these variables are no settings, and disturb nobody


def test_somebody_elses_change_at_the_same_moment_is_not_overwritten(grafana: GrafanaServer, push: Push) -> None:
    push(grafana, "--db", READER)
    kept = grafana.dashboards[OVERVIEW]["dashboard"]
    kept["title"] = "mine"

    def meanwhile(request: str) -> None:
        if request == "POST /api/dashboards/db":
            kept["version"] += 1

    grafana.meanwhile = meanwhile
    assert complaint(push(grafana)) == (
        f"dashboard {OVERVIEW} was changed by somebody else meanwhile; push again to put ours there"
    )
    assert grafana.dashboards[OVERVIEW]["dashboard"]["title"] == "mine"


def test_what_comes_from_files_there_is_left_to_them(grafana: GrafanaServer, push: Push) -> None:
    push(grafana, "--db", READER)
    assert set(changes(push(grafana)).values()) == {"unchanged"}
    grafana.from_files = {OVERVIEW, "affectstream-postgres"}
    grafana.dashboards[OVERVIEW]["dashboard"]["title"] = "of the file"
    grafana.rules["affectstream-stress"] |= {"title": "of the file", "provenance": "file"}
    hint = "comes from a file there, and can be changed in that file only"
    assert complaint(push(grafana)) == f"dashboard {OVERVIEW} at {grafana.url} {hint}"
    grafana.dashboards[OVERVIEW]["dashboard"]["title"] = "affectstream: overview"
    assert complaint(push(grafana)) == f"alert rule affectstream-stress at {grafana.url} {hint}"
    moved = push(grafana, "--db", READER.replace("5433", "5434"))
    assert complaint(moved) == f"data source affectstream-postgres at {grafana.url} {hint}"


def test_refusals_say_what_to_do(grafana: GrafanaServer, push: Push, monkeypatch: pytest.MonkeyPatch) -> None:
    grafana.forbidden = ("POST /api/datasources",)
    assert complaint(push(grafana, "--db", READER)) == (
        f"the token may not see or change data source affectstream-postgres at {grafana.url}; "
        "its service account needs the role Admin"
    )
    grafana.forbidden = ("GET /api/v1/provisioning",)
    assert "may not see or change alert rule affectstream-stress" in complaint(push(grafana, "--db", READER))
    grafana.forbidden = ()
    grafana.datasources["x"] = {"uid": "x", "name": "affectstream metrics"}
    told = complaint(push(grafana, "--prometheus", PROMETHEUS))
    assert "refuses data source affectstream-prometheus (409): data source with the same name already exists" in told
    monkeypatch.setenv("AFFECTSTREAM_GRAFANA_TOKEN", "glsa_wrong")
    assert complaint(push(grafana)) == (
        f"Grafana at {grafana.url} does not take the token; give one of a service account with the role Admin"
    )


def test_a_grafana_that_is_too_old_is_told_to_be_updated(grafana: GrafanaServer, push: Push) -> None:
    grafana.version = "11.5.4"
    assert complaint(push(grafana, "--db", READER)) == (
        f"Grafana 11.5.4 at {grafana.url} is too old; update it to 11.6.0 or later"
    )
    assert grafana.asked == ["GET /api/health"]
    for version in ("11.6.0", "12.0.0-pre", "13.1.2+security-01"):
        grafana.version = version
        assert push(grafana, "--db", READER).code == 0


def test_without_a_data_source_it_asks_for_one_and_writes_nothing(grafana: GrafanaServer, push: Push) -> None:
    assert complaint(push(grafana), 2) == (
        "Grafana has no data source affectstream-postgres yet; give --db, the reader's address"
    )
    assert grafana.written == []


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--url", "grafana:3000"], "--url is no address of a Grafana"),
        (["--url", "http://[::1"], "--url is no address of a Grafana"),
        (["--url", "http://localhost:port"], "--url is no address of a Grafana"),
        (["--url", f"http://admin:{SECRET}@localhost:3000"], "--url must have no user and password in it"),
        (["--token", " "], "the token is empty or has blanks in it"),
        (["--token", ""], "no token; set AFFECTSTREAM_GRAFANA_TOKEN"),
        (["--db", "sqlite:///affectstream.db"], "--db must be a Postgres"),
        (["--db", SECRET], "--db is no address of a database"),
        (["--db", f"postgresql://:{SECRET}@host"], "--db has no username and no database"),
        (["--db", f"postgresql://me:p@{SECRET}@host/x"], "--db: an @ in the user's name or password is written %40"),
        (["--db", READER.replace("disable", "prefer")], "--db: Grafana knows sslmode disable, require"),
        (["--prometheus", "prometheus:9090"], "--prometheus is no address"),
        (["--folder", " "], "--folder needs a title"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_is_asked(push: Push, flags: list[str], says: str) -> None:
    assert complaint(push("http://127.0.0.1:9", *flags), 2).startswith(says)


@contextmanager
def answering(status: int, body: str, **headers: str) -> Iterator[str]:
    """The URL of a server that answers everything so."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, format: str, *args: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


OTHERS = [(200, "<html>Hello</html>"), (404, "nothing here"), (200, "[]"), (200, '{"ok": 1}'), (404, "null")]


@pytest.mark.parametrize(("status", "body"), OTHERS)
def test_what_is_no_grafana_is_said_to_be_none(push: Push, status: int, body: str) -> None:
    with answering(status, body) as url:
        assert complaint(push(url)) == (
            f"what answers at {url} is no Grafana; give the address that its pages begin with"
        )


def test_a_redirection_is_not_followed_but_told(push: Push) -> None:
    with answering(301, "", Location="https://grafana.example/api/health") as url:
        assert complaint(push(url)) == (
            f"{url} sends us to https://grafana.example; give --url as Grafana's own address"
        )


def test_a_grafana_that_fails_is_told_from_one_that_refuses(push: Push) -> None:
    with answering(502, "bad gateway") as url:
        assert complaint(push(url)) == f"Grafana at {url} failed on its state (502): bad gateway; see its log"


def test_where_nobody_answers_it_says_so(push: Push) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        assert complaint(push(url)) == (
            f"{url} cannot be reached (Connection refused); check --url, and that Grafana runs"
        )
        taken.listen()  # and is silent
        assert complaint(push(url, "--timeout", 0.2)) == (
            f"{url} gave no answer within 0.2 s; check that Grafana runs, or raise --timeout"
        )
    assert "nowhere.invalid:3000 cannot be reached (" in complaint(push("http://nowhere.invalid:3000"))


def test_without_a_trusted_connection_nothing_is_sent(grafana: GrafanaServer, push: Push) -> None:
    told = complaint(push(grafana.url.replace("http:", "https:")))  # it speaks no TLS
    assert "no trusted connection to https://127.0.0.1" in told
    assert "is --url right (https or http)" in told
    assert grafana.asked == []
