"""A stand-in for Grafana: the part of its HTTP API that we use, as documented, on loopback.

It keeps what it is given, judges each request as Grafana would, and adds to what it keeps what Grafana adds.
"""

import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

TOKEN: Final = "glsa_of_the_tests_0123456789"
SECRET: Final = "reads-only"

Answer = tuple[int, Any]


class RefusedError(Exception):
    """An answer that is no success."""

    def __init__(self, status: int, message: str, /, **more: object) -> None:
        super().__init__(message)
        self.answer: Final[Answer] = (status, {"message": message, **more})


class NonsenseError(RefusedError):
    """The answer to a request that Grafana does not understand."""

    def __init__(self, message: str) -> None:
        super().__init__(400, message)


class GrafanaServer:
    """What it holds, by UID, and how it behaves."""

    def __init__(self) -> None:
        self.url = ""
        self.version = "11.6.0"
        self.folders: dict[str, dict[str, Any]] = {}
        self.dashboards: dict[str, dict[str, Any]] = {}
        self.datasources: dict[str, dict[str, Any]] = {}
        self.secrets: dict[str, dict[str, str]] = {}
        self.rules: dict[str, dict[str, Any]] = {}
        self.from_files: set[str] = set()
        """UIDs of what is provisioned there."""
        self.forbidden: tuple[str, ...] = ()
        """Beginnings of `METHOD PATH` that the token may not do."""
        self.password = SECRET
        """The one that the database takes."""
        self.meanwhile: Callable[[str], None] = lambda request: None
        """Called before each request is looked at."""
        self.asked: list[str] = []
        self.faults: list[str] = []
        """What was wrong with requests."""

    @property
    def written(self) -> list[str]:
        """The requests that change something."""
        return [request for request in self.asked if not request.startswith("GET")]

    def answer(self, method: str, path: str, headers: Mapping[str, str], body: Any) -> Answer:
        request = f"{method} {path}"
        self.meanwhile(request)
        self.asked.append(request)
        if request == "GET /api/health":
            return 200, {"commit": "d2fdff9edf", "database": "ok", "version": self.version}
        if headers.get("Authorization") != f"Bearer {TOKEN}":
            return 401, {"message": "Invalid API key", "messageId": "api-key.invalid", "statusCode": 401}
        if request.startswith(self.forbidden or ("?",)):
            return 403, {"message": "You'll need additional permissions to perform this action", "accessErrorId": "A"}
        for pattern, work in self._routes().items():
            if match := re.fullmatch(pattern, request):
                try:
                    return work(*match.groups(), *([body] if method != "GET" else []), *_provenance(pattern, headers))
                except RefusedError as error:
                    if isinstance(error, NonsenseError):
                        self.faults.append(f"{request}: {error}")
                    return error.answer
        self.faults.append(f"{request}: no such route")
        return 404, {"message": "Not found"}

    def _routes(self) -> dict[str, Callable[..., Answer]]:
        rules = "/api/v1/provisioning/alert-rules"
        return {
            "GET /api/folders": lambda: (200, [_part(one, "id", "uid", "title") for one in self.folders.values()]),
            "POST /api/folders": self._create_folder,
            "GET /api/dashboards/uid/([^/]+)": self._dashboard,
            "POST /api/dashboards/db": self._save_dashboard,
            "GET /api/datasources/uid/([^/]+)": self._datasource,
            "GET /api/datasources/uid/([^/]+)/health": self._health,
            "POST /api/datasources": self._create_datasource,
            "PUT /api/datasources/uid/([^/]+)": self._update_datasource,
            f"GET {rules}/([^/]+)": lambda uid: (200, self.rules[uid]) if uid in self.rules else (404, None),
            f"POST {rules}": self._create_rule,
            f"PUT {rules}/([^/]+)": self._update_rule,
        }

    def _create_folder(self, body: Any) -> Answer:
        _must(body, {"title": str}, {"uid": str, "parentUid": str})
        if any(folder["title"] == body["title"] for folder in self.folders.values()):
            raise RefusedError(409, "a folder with the same name already exists in the current location")
        uid = body.get("uid") or f"made{len(self.folders)}"
        self.folders[uid] = {"id": len(self.folders) + 1, "uid": uid, "title": body["title"], "version": 1}
        return 200, self.folders[uid]

    def _dashboard(self, uid: str) -> Answer:
        if uid not in self.dashboards:
            raise RefusedError(404, "Dashboard not found")
        kept = self.dashboards[uid]
        meta = {"folderUid": kept["folder"], "provisioned": uid in self.from_files, "type": "db", "canSave": True}
        return 200, {"dashboard": kept["dashboard"], "meta": meta}

    def _save_dashboard(self, body: Any) -> Answer:
        _must(body, {"dashboard": dict, "folderUid": str, "overwrite": bool}, {"message": str})
        new = body["dashboard"]
        _must(new, {"title": str, "uid": str, "panels": list, "schemaVersion": int}, None)
        uid, known = new["uid"], self.dashboards.get(new["uid"])
        if not re.fullmatch(r"[\w-]{1,40}", uid):
            raise NonsenseError("uid contains illegal characters or is too long")
        if body["folderUid"] not in self.folders:
            raise NonsenseError("folder not found")
        if uid in self.from_files:
            raise RefusedError(400, "Cannot save provisioned dashboard")
        if new.get("id") is not None and (known is None or known["dashboard"]["id"] != new["id"]):
            raise RefusedError(404, "Dashboard not found", status="not-found")
        if known and not body["overwrite"]:
            if new.get("id") is None:
                raise RefusedError(412, "A dashboard with the same uid already exists", status="name-exists")
            if new.get("version") != known["dashboard"]["version"]:
                raise RefusedError(412, "The dashboard has been changed by someone else", status="version-mismatch")
        number = known["dashboard"]["id"] if known else len(self.asked)
        version = known["dashboard"]["version"] + 1 if known else 1
        kept = {**new, "id": number, "version": version}
        self.dashboards[uid] = {"dashboard": kept, "folder": body["folderUid"]}
        return 200, {"id": number, "uid": uid, "status": "success", "version": version, "slug": uid, "url": f"/d/{uid}"}

    def _datasource(self, uid: str) -> Answer:
        if uid not in self.datasources:
            raise RefusedError(404, "Data source not found")
        return 200, self.datasources[uid]

    def _health(self, uid: str) -> Answer:
        self._datasource(uid)
        if self.datasources[uid]["type"] != "prometheus" and self.secrets[uid].get("password") != self.password:
            return 400, {"status": "ERROR", "message": "pq: password authentication failed"}
        return 200, {"status": "OK", "message": "Database Connection OK"}

    def _create_datasource(self, body: Any) -> Answer:
        self._judge_datasource(body)
        if any(body["name"] == one["name"] or body["uid"] == one["uid"] for one in self.datasources.values()):
            raise RefusedError(409, "data source with the same name already exists")
        return self._keep_datasource(body, len(self.datasources) + 1, "Datasource added")

    def _update_datasource(self, uid: str, body: Any) -> Answer:
        self._datasource(uid)
        self._judge_datasource(body)
        if uid in self.from_files:
            raise RefusedError(403, "Cannot update read-only data source")
        if any(body["name"] == one["name"] and uid != one["uid"] for one in self.datasources.values()):
            raise RefusedError(409, "data source with the same name already exists")
        return self._keep_datasource(body, self.datasources[uid]["id"], "Datasource updated")

    def _judge_datasource(self, body: Any) -> None:
        optional = {"url": str, "user": str, "database": str, "basicAuth": bool, "basicAuthUser": str, "jsonData": dict}
        more = {"secureJsonData": dict, "isDefault": bool, "withCredentials": bool, "version": int}
        _must(body, {"name": str, "type": str, "access": str, "uid": str}, {**optional, **more})
        if body["access"] not in {"proxy", "direct"} or not re.fullmatch(r"[\w-]{1,40}", body["uid"]):
            raise NonsenseError("bad access or uid")
        if not all(isinstance(secret, str) for secret in body.get("secureJsonData", {}).values()):
            raise NonsenseError("secrets are strings")

    def _keep_datasource(self, body: Any, number: int, message: str) -> Answer:
        uid = body["uid"]
        self.secrets[uid] = {**self.secrets.get(uid, {}), **body.get("secureJsonData", {})}
        shown = {name: value for name, value in body.items() if name != "secureJsonData"}
        flags = dict.fromkeys(self.secrets[uid], True)
        default = {"isDefault": False, "database": "", "basicAuthUser": "", "jsonData": {}, "typeLogoUrl": ""}
        self.datasources[uid] = {
            **default, **shown, "id": number, "orgId": 1, "secureJsonFields": flags, "readOnly": uid in self.from_files,
        }  # fmt: skip
        return 200, {"datasource": self.datasources[uid], "id": number, "message": message, "name": body["name"]}

    def _create_rule(self, body: Any, editable: bool) -> Answer:
        self._judge_rule(body)
        if body["uid"] in self.rules:
            raise RefusedError(409, "a conflicting alert rule is found: rule UID")
        return 201, self._keep_rule(body, editable)

    def _update_rule(self, uid: str, body: Any, editable: bool) -> Answer:
        if uid not in self.rules:
            return 404, None
        self._judge_rule(body)
        if self.rules[uid]["provenance"] not in {"", "api"}:
            raise RefusedError(409, "cannot change provenance from 'file' to ''")
        return 200, self._keep_rule({**body, "uid": uid}, editable)

    def _judge_rule(self, rule: Any) -> None:
        texts = dict.fromkeys(
            ("folderUID", "ruleGroup", "title", "condition", "noDataState", "execErrState", "for"), str
        )
        optional = {"uid": str, "annotations": dict, "labels": dict, "isPaused": bool}
        _must(rule, {"orgID": int, "data": list, **texts}, optional)
        annotations = rule.get("annotations", {})
        for query in rule["data"]:
            needed = {"refId": str, "datasourceUid": str, "model": dict, "relativeTimeRange": dict}
            _must(query, needed, {"queryType": str})
            _must(query["relativeTimeRange"], {"from": int, "to": int}, {})
            if query["relativeTimeRange"]["from"] < query["relativeTimeRange"]["to"]:
                raise NonsenseError("a time range that ends before it begins")
            if query["datasourceUid"] not in {*self.datasources, "__expr__"}:
                raise NonsenseError(f"no data source {query['datasourceUid']}")
        wrong = {
            "folder": rule["folderUID"] not in self.folders,
            "noDataState": rule["noDataState"] not in {"Alerting", "NoData", "OK", "KeepLast"},
            "execErrState": rule["execErrState"] not in {"OK", "Alerting", "Error", "KeepLast"},
            "condition": rule["condition"] not in {query["refId"] for query in rule["data"]},
            "for": not re.fullmatch(r"(\d+(ms|[smhdwy]))+", rule["for"]),
            "title": not 0 < len(rule["title"]) <= 190 or not 0 < len(rule["ruleGroup"]) <= 190,
            "link": ("__dashboardUid__" in annotations) != ("__panelId__" in annotations),
            "texts": not all(isinstance(one, str) for one in (*annotations.values(), *rule.get("labels", {}).values())),
            "twin": any(rule["title"] == one["title"] and rule["uid"] != one["uid"] for one in self.rules.values()),
        }
        if any(wrong.values()):
            raise NonsenseError(f"invalid alert rule: {', '.join(name for name, bad in wrong.items() if bad)}")

    def _keep_rule(self, rule: Mapping[str, Any], editable: bool) -> dict[str, Any]:
        data = [
            {**one, "queryType": "", "model": {"intervalMs": 1000, "maxDataPoints": 43200, **one["model"]}}
            for one in rule["data"]
        ]
        facts = {"id": len(self.asked), "updated": "2026-01-01T00:00:00Z", "provenance": "" if editable else "api"}
        self.rules[rule["uid"]] = {**rule, "orgID": 7, "data": data, **facts}
        return self.rules[rule["uid"]]


@contextmanager
def grafana_server(prefix: str = "") -> Iterator[GrafanaServer]:
    """Runs one; `prefix` is the path that it is served under."""
    grafana = GrafanaServer()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(grafana, prefix))
    grafana.url = f"http://127.0.0.1:{server.server_address[1]}{prefix}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield grafana
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _handler(grafana: GrafanaServer, prefix: str) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            text = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if text and self.headers.get("Content-Type") != "application/json":
                grafana.faults.append(f"{self.path}: the body is not said to be JSON")
            path = self.path.removeprefix(prefix)
            status, content = grafana.answer(self.command, path, self.headers, json.loads(text) if text else None)  # type: ignore[arg-type]
            body = b"" if content is None else json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json; charset=UTF-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PUT = _answer  # noqa: N815

        def log_message(self, format: str, *args: object) -> None: ...

    return Handler


def _must(body: Any, required: Mapping[str, type], optional: Mapping[str, type] | None) -> None:
    """Raises RefusedError where a field is missing, unknown (unless anything goes) or of another type."""
    if not isinstance(body, dict):
        raise NonsenseError("bad request data")
    for name, kind in {**required, **(optional or {})}.items():
        missing = body.get(name) in (None, "") if name in required else name not in body
        if missing and name in required:
            raise NonsenseError(f"{name} is required")
        if not missing and type(body[name]) is not kind:
            raise NonsenseError(f"{name} is no {kind.__name__}")
    if optional is not None and (unknown := body.keys() - required.keys() - optional.keys()):
        raise NonsenseError(f"unknown: {', '.join(sorted(unknown))}")


def _part(content: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: content[name] for name in names}


def _provenance(pattern: str, headers: Mapping[str, str]) -> list[bool]:
    """Whether a rule stays editable, for those who want to know."""
    return ["X-Disable-Provenance" in headers] if pattern.startswith(("POST /api/v1", "PUT /api/v1")) else []
