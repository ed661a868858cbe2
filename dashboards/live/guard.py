"""Who may look: the token, the names that the server answers to, and what a browser is told about our answers.

Without a token the server is for this machine alone. A browser on this machine shows pages of others too, and they must
not reach it either: neither under a name of theirs that leads here (the Host header), nor by a request from their page
(the Origin header), nor in a frame.
"""

import hashlib
import hmac
import ipaddress
import logging
import socket
from html import escape
from http.cookies import CookieError, SimpleCookie
from typing import Final
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from contracts.errors import SettingsError
from contracts.settings import LiveSettings
from dashboards.live.problems import internal_problem, problem

HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Content-Security-Policy": "frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",  # no page of others shows our pictures
    "Referrer-Policy": "no-referrer",  # an address may hold the token
}
PARAMETER: Final = "token"
_log: Final = logging.getLogger(__name__)
_YEAR: Final = 365 * 86_400

_ASK: Final = """<!doctype html><html lang="en"><meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>affectstream</title>
<style>body {{ font: 1rem/1.5 system-ui, sans-serif; max-width: 32rem; margin: 20vh auto; padding: 0 1rem }}
input, button {{ font: inherit; padding: .4rem }}</style>
<h1>affectstream</h1><p>{why}: it is in the address that affectstream printed, or ask who started it.</p>
<form><label>Token <input name="token" type="password" autocomplete="current-password" required autofocus></label>
<button>Look</button></form></html>"""


def resolve(settings: LiveSettings) -> tuple[socket.AddressFamily, str]:
    """The address to bind to, and its family.

    Raises SettingsError where there is none, or where others could reach it and no token keeps them out.
    """
    where = f"live.address {settings.address!r}"
    try:
        found = socket.getaddrinfo(settings.address, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError):
        raise SettingsError(f"{where} is no address of this machine; 127.0.0.1 is for this machine alone") from None
    family, address = found[0][0], str(found[0][4][0])
    if settings.token is None and not _is_loopback(address):
        raise SettingsError(
            f"{where} lets others in, and live.token is not set; set it to a secret, for example "
            "AFFECTSTREAM_LIVE_TOKEN=$(openssl rand -hex 16), or take 127.0.0.1"
        )
    return family, address


class Guard:
    """ASGI middleware in front of everything: pages, assets, pictures, API and websockets."""

    def __init__(self, app: ASGIApp, settings: LiveSettings) -> None:
        self.app: Final = app
        self._own_name: Final = settings.address.lower()
        self._token: Final = None if settings.token is None else settings.token.encode()
        # The cookie says that its owner knew the token, and is not the token: other servers of this host see it too.
        digest = hmac.new(self._token or b"", b"affectstream live cookie", hashlib.sha256).hexdigest()
        self._cookie: Final = (f"affectstream_{digest[:8]}", digest[8:])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in {"http", "websocket"}:
            await self.app(scope, receive, send)
            return
        begun = False
        cookie: str | None = None

        async def guarded_send(message: Message) -> None:
            nonlocal begun
            if message["type"] in {"http.response.start", "websocket.http.response.start"}:
                begun = True
                headers = MutableHeaders(scope=message)
                headers.update(HEADERS)
                if scope["path"].startswith("/api/"):
                    headers.setdefault("Cache-Control", "no-store")
                if cookie is not None:
                    headers.append("Set-Cookie", cookie)
            elif message["type"] == "websocket.accept":
                begun = True
            await send(message)

        headers = Headers(scope=scope)
        refusal = self._refuse_strangers(headers)
        if refusal is None and self._token is not None:
            shown, scope = _take_token(scope)
            if shown is not None and hmac.compare_digest(shown.encode(), self._token):
                cookie = self._new_cookie(secure=scope["scheme"] in {"https", "wss"})
                if _for_a_person(scope, headers):  # out of the address bar, the history and the bookmarks
                    refusal = RedirectResponse(_address(scope), 303)
            elif not self._knows_token(headers):
                refusal = _ask_for_token(scope, headers, wrong=shown is not None)
        if refusal is not None:
            await refusal(scope, receive, guarded_send)
            return
        try:
            await self.app(scope, receive, guarded_send)
        except Exception as error:  # noqa: BLE001  (whatever it was, the user sees one line)
            line = " ".join(f"{type(error).__name__}: {error}".split())
            _log.error("%s %s failed: %s", scope.get("method", "websocket"), scope["path"], line)
            _log.info("where it failed", exc_info=error)
            if not begun:
                await internal_problem()(scope, receive, guarded_send)

    def _refuse_strangers(self, headers: Headers) -> Response | None:
        host = headers.get("host", "")
        if self._token is None and not self._is_ours(_hostname(host)):
            return problem(
                421, "without a token affectstream answers to localhost only; set live.token to be reached otherwise"
            )
        origin = headers.get("origin")
        if origin is not None and (not host or origin.lower().partition("://")[2] != host.lower()):
            return problem(403, "the request comes from a page of another site; only affectstream's own may ask")
        return None

    def _is_ours(self, name: str) -> bool:
        return name in {"localhost", self._own_name} or name.endswith(".localhost") or _is_loopback(name)

    def _knows_token(self, headers: Headers) -> bool:
        assert self._token is not None  # noqa: S101
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode("latin-1"), self._token):
            return True
        name, value = self._cookie
        return hmac.compare_digest(_cookies(headers).get(name, "").encode(), value.encode())

    def _new_cookie(self, *, secure: bool) -> str:
        name, value = self._cookie
        # Lax, not Strict: who follows a link from a mail or a dashboard to here is let in.
        return f"{name}={value}; Path=/; Max-Age={_YEAR}; HttpOnly; SameSite=Lax" + ("; Secure" if secure else "")


def _take_token(scope: Scope) -> tuple[str | None, Scope]:
    """The token of the address, and the request without it."""
    pairs = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
    shown = [value for name, value in pairs if name == PARAMETER]
    if not shown:
        return None, scope
    rest = urlencode([(name, value) for name, value in pairs if name != PARAMETER])
    return shown[0], {**scope, "query_string": rest.encode("latin-1")}


def _for_a_person(scope: Scope, headers: Headers) -> bool:
    return scope["type"] == "http" and scope["method"] == "GET" and "text/html" in headers.get("accept", "")


def _address(scope: Scope) -> str:
    """Path and query of the request; always of this server: `//elsewhere` would be another."""
    query = scope["query_string"].decode("latin-1")
    return "/" + quote(scope["path"].lstrip("/")) + (f"?{query}" if query else "")


def _ask_for_token(scope: Scope, headers: Headers, *, wrong: bool) -> Response:
    why = "This is not its token" if wrong else "This wants a token"
    asks = {"WWW-Authenticate": "Bearer"}
    if _for_a_person(scope, headers):
        return HTMLResponse(_ASK.format(why=escape(why)), 401, asks)
    return problem(401, f"{why.lower()}; send it as Authorization: Bearer …, or once as ?{PARAMETER}=…", asks)


def _cookies(headers: Headers) -> dict[str, str]:
    try:
        return {name: morsel.value for name, morsel in SimpleCookie(headers.get("cookie", "")).items()}
    except CookieError:
        return {}


def _hostname(host: str) -> str:
    try:
        return (urlsplit(f"//{host}").hostname or "").removesuffix(".")
    except ValueError:
        return ""


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address.partition("%")[0]).is_loopback
    except ValueError:
        return False
