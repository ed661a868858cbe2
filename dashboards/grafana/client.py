"""Grafana's HTTP API, with its troubles told in one line each."""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import requests
from grafana_api.grafana_api import GrafanaException, GrafanaServerError  # type: ignore[import-untyped]
from grafana_api.grafana_face import GrafanaFace  # type: ignore[import-untyped]

from contracts.errors import AffectstreamError, InputError

T = TypeVar("T")

OLDEST: Final = (11, 6, 0)
"""Whose JSON the dashboards are."""


class GrafanaError(AffectstreamError):
    """Grafana cannot be reached, or refuses."""


class Grafana:
    """A Grafana server, of one organisation: that of the token."""

    def __init__(self, url: str, token: str, *, timeout: float = 15.0) -> None:
        """Raises InputError where the URL is none. Nothing is asked yet."""
        nonsense = InputError("--url is no address of a Grafana; say https://grafana.example or http://localhost:3000")
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError:
            raise nonsense from None
        if parts.scheme not in {"http", "https"} or not host:
            raise nonsense
        if parts.username or parts.password:
            raise InputError("--url must have no user and password in it; give a service account's token instead")
        if not token or not token.isascii() or any(letter.isspace() for letter in token):
            raise InputError("the token is empty or has blanks in it; give it as Grafana showed it")
        path = parts.path.strip("/")
        self.place: Final = f"{parts.scheme}://{parts.netloc}{f'/{path}' if path else ''}"
        self._timeout: Final = timeout
        self._face: Final = GrafanaFace(
            token, host=f"[{host}]" if ":" in host else host, port=port, protocol=parts.scheme,
            url_path_prefix=f"{path}/" if path else "", timeout=timeout,
        )  # fmt: skip
        self._face.api.s.max_redirects = 0  # a redirected POST would become a GET

    def look(self) -> str:
        """Makes sure that this is a Grafana that is new enough; gives its version. Raises GrafanaError."""
        health = self._guarded("its state", lambda: self._face.api.GET("/health"))
        if not isinstance(health, dict) or "database" not in health:
            raise self._no_grafana()
        version = str(health.get("version", ""))  # it may be hidden
        numbers = tuple(int(part) for part in version.partition("-")[0].split(".") if part.isdigit())
        if numbers and numbers < OLDEST:
            oldest = ".".join(map(str, OLDEST))
            raise GrafanaError(f"Grafana {version} at {self.place} is too old; update it to {oldest} or later")
        if health["database"] != "ok":
            raise GrafanaError(f"Grafana at {self.place} has lost its own database; see its log")
        return version

    def folders(self) -> list[dict[str, Any]]:
        """`uid` and `title` of the folders that the token may see."""
        return self._guarded("the folders", self._face.folder.get_all_folders)

    def create_folder(self, title: str) -> str:
        """Gives its uid."""
        made = self._guarded(f"folder {title}", lambda: self._face.folder.create_folder(title))
        return str(made["uid"])

    def dashboard(self, uid: str) -> dict[str, Any] | None:
        """`dashboard` and `meta` of a dashboard, or None."""
        return self._found(f"dashboard {uid}", lambda: self._face.dashboard.get_dashboard(uid))

    def save_dashboard(self, body: Mapping[str, Any]) -> None:
        what = f"dashboard {body['dashboard']['uid']}"
        self._guarded(what, lambda: self._face.dashboard.update_dashboard(body))

    def datasource(self, uid: str) -> dict[str, Any] | None:
        """The data source without its secrets, or None."""
        return self._found(f"data source {uid}", lambda: self._face.api.GET(f"/datasources/uid/{uid}"))

    def create_datasource(self, body: Mapping[str, Any]) -> None:
        self._guarded(f"data source {body['uid']}", lambda: self._face.datasource.create_datasource(body))

    def update_datasource(self, body: Mapping[str, Any]) -> None:
        uid = body["uid"]
        self._guarded(f"data source {uid}", lambda: self._face.api.PUT(f"/datasources/uid/{uid}", json=body))

    def complaint(self, datasource_uid: str) -> str | None:
        """What is wrong with a data source when Grafana tries it; None where it answers."""
        path = f"/datasources/uid/{datasource_uid}/health"
        try:
            answer = self._asked(lambda: self._face.api.GET(path))
        except GrafanaException as error:
            if error.status_code in {401, 403}:
                raise self._refused(f"data source {datasource_uid}", error) from None
            return _said(error)
        return None if answer.get("status") == "OK" else " ".join(str(answer.get("message")).split())

    def rule(self, uid: str) -> dict[str, Any] | None:
        """The alert rule, or None."""
        return self._found(f"alert rule {uid}", lambda: self._face.api.GET(f"{RULES}/{uid}"))

    def create_rule(self, body: Mapping[str, Any]) -> None:
        self._guarded(f"alert rule {body['uid']}", lambda: self._face.api.POST(RULES, json=body, headers=EDITABLE))

    def update_rule(self, body: Mapping[str, Any]) -> None:
        uid = body["uid"]
        self._guarded(f"alert rule {uid}", lambda: self._face.api.PUT(f"{RULES}/{uid}", json=body, headers=EDITABLE))

    def _found(self, what: str, ask: Callable[[], T]) -> T | None:
        try:
            return self._asked(ask)
        except GrafanaException as error:
            if error.status_code == requests.codes.not_found:
                return None
            raise self._refused(what, error) from None

    def _guarded(self, what: str, ask: Callable[[], T]) -> T:
        try:
            return self._asked(ask)
        except GrafanaException as error:
            raise self._refused(what, error) from None

    def _asked(self, ask: Callable[[], T]) -> T:
        """The answer. Raises GrafanaError where there is none, and GrafanaException where it is no."""
        try:
            return ask()
        except requests.exceptions.SSLError as error:
            raise GrafanaError(
                f"no trusted connection to {self.place}: {_reason(error)}; is --url right (https or http), and the "
                "certificate's authority in REQUESTS_CA_BUNDLE?"
            ) from None
        except requests.Timeout:
            raise GrafanaError(
                f"{self.place} gave no answer within {self._timeout:g} s; check that Grafana runs, or raise --timeout"
            ) from None
        except requests.TooManyRedirects as error:
            target = error.response.headers.get("Location", "?") if error.response is not None else "?"
            place = urlsplit(target)
            hint = f"{place.scheme}://{place.netloc}" if place.netloc else "elsewhere"
            raise GrafanaError(f"{self.place} sends us to {hint}; give --url as Grafana's own address") from None
        except requests.ConnectionError as error:
            raise GrafanaError(
                f"{self.place} cannot be reached ({_reason(error)}); check --url, and that Grafana runs"
            ) from None
        except (ValueError, TypeError):  # no JSON, or none that grafana_api can read
            raise self._no_grafana() from None

    def _no_grafana(self) -> GrafanaError:
        return GrafanaError(f"what answers at {self.place} is no Grafana; give the address that its pages begin with")

    def _refused(self, what: str, error: GrafanaException) -> GrafanaError:
        status, said = error.status_code, _said(error)
        if status == requests.codes.not_found and what == "its state":
            return self._no_grafana()
        if status == requests.codes.unauthorized:
            text = f"Grafana at {self.place} does not take the token; give one of a service account with the role Admin"
        elif any(word in said for word in ("provisioned", "read-only", "provenance")):
            text = f"{what} at {self.place} comes from a file there, and can be changed in that file only"
        elif status == requests.codes.forbidden:
            text = f"the token may not see or change {what} at {self.place}; its service account needs the role Admin"
        elif _field(error, "status") == "version-mismatch":
            text = f"{what} was changed by somebody else meanwhile; push again to put ours there"
        elif isinstance(error, GrafanaServerError):
            text = f"Grafana at {self.place} failed on {what} ({status}): {said}; see its log"
        else:
            text = f"Grafana at {self.place} refuses {what} ({status}): {said}"
        return GrafanaError(text)


RULES: Final = "/v1/provisioning/alert-rules"
EDITABLE: Final = {"X-Disable-Provenance": "true"}
"""So that they can be changed in Grafana, too."""


def _field(error: GrafanaException, name: str) -> str:
    return str(error.response.get(name, "")) if isinstance(error.response, dict) else ""


def _said(error: GrafanaException) -> str:
    said = _field(error, "message") or (error.response if isinstance(error.response, str) else "")
    return " ".join(said.split())[:200] or "nothing said"


def _reason(error: BaseException) -> str:
    """The innermost reason of a failed connection, in its own words."""
    while inner := [one for one in (getattr(error, "reason", None), *error.args) if isinstance(one, BaseException)]:
        error = inner[0]
    return re.sub(r"\[Errno -?\d+\] ", "", " ".join(str(error).split())).rpartition(": ")[2]
