"""Who may look: with a token, those who know it; without one, this machine alone."""

import socket
from collections.abc import Iterator
from functools import partial

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from contracts.errors import SettingsError
from dashboards.live.server import LiveServer
from storage.store import Store
from tests.dashboards.api.serving import TOKEN, Looking, configured, serving

get = partial(httpx.get, verify=False)  # quick: no certificates are read
PATHS = ("/", "/api/v1/health", "/api/v1/openapi.json", "/api/v1/cameras/door/picture.jpg", "/nothing")
SOCKET = "_nicegui_ws/socket.io/?EIO=4&transport=websocket"


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Looking]:
    url = f"sqlite:///{tmp_path_factory.mktemp('guard') / 'test.db'}"
    with serving(configured(url, live={"token": TOKEN})) as looking:
        yield looking


@pytest.fixture(scope="module")
def unlocked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Looking]:
    url = f"sqlite:///{tmp_path_factory.mktemp('guard') / 'test.db'}"
    with serving(configured(url)) as looking:
        yield looking


def status(looking: Looking, path: str, **headers: str) -> int:
    return get(looking.url.rstrip("/") + path, headers=headers).status_code


@pytest.mark.parametrize("path", PATHS)
def test_without_the_token_nothing_is_shown(locked: Looking, path: str) -> None:
    separator = "&" if "?" in path else "?"
    wrong = {"Authorization": f"Bearer {TOKEN[:-1]}"}, {"Authorization": TOKEN}, {"Authorization": "Bearer"}
    assert status(locked, path) == 401
    for headers in (*wrong, {"Authorization": "Bearer ünkn"}, {"Cookie": f"token={TOKEN}"}, {"Cookie": "a=b;;=;"}):
        encoded = [(name.encode(), value.encode()) for name, value in headers.items()]
        assert get(locked.url.rstrip("/") + path, headers=encoded).status_code == 401
    for shown in ("", "x", TOKEN.upper(), "%00", "%FF%FF"):
        assert status(locked, f"{path}{separator}token={shown}") == 401


def test_a_program_shows_the_token_in_a_header_or_once_in_the_address(locked: Looking) -> None:
    assert status(locked, "/api/v1/health", Authorization=f"Bearer {TOKEN}") == 200
    assert status(locked, "/api/v1/health", Authorization=f"bearer  {TOKEN}") == 200
    with httpx.Client(base_url=locked.url, verify=False) as client:
        assert client.get("/api/v1/windows", params={"limit": 5, "token": TOKEN}).status_code == 200
        assert client.get("/api/v1/windows").status_code == 200  # the cookie
        (cookie,) = client.cookies.jar
        assert cookie.has_nonstandard_attr("HttpOnly")
        assert cookie.get_nonstandard_attr("SameSite") == "Lax"
        assert TOKEN not in str(cookie.value)


def test_a_browser_is_led_to_the_address_without_the_token(locked: Looking) -> None:
    accept = {"Accept": "text/html,*/*"}
    with httpx.Client(base_url=locked.url, headers=accept, verify=False) as client:
        answer = client.get(f"/?a=1&token={TOKEN}")
        assert (answer.status_code, answer.headers["location"]) == (303, "/?a=1")
        assert client.get("/").status_code == 200
        elsewhere = client.get(f"{locked.url}/evil.example/x?token={TOKEN}").headers["location"]
        assert elsewhere == "/evil.example/x"
    asked = get(locked.url, headers=accept)
    assert (asked.status_code, asked.headers["content-type"]) == (401, "text/html; charset=utf-8")
    assert "token" in asked.text


def test_a_cookie_of_another_token_opens_nothing(locked: Looking, url: str) -> None:
    with serving(configured(url, live={"token": TOKEN + "2"})) as other, httpx.Client(verify=False) as client:
        assert client.get(f"{other.url}api/v1/health?token={TOKEN}2").status_code == 200
        assert client.get(f"{other.url}api/v1/health").status_code == 200
        assert client.get(f"{locked.url}api/v1/health").status_code == 401  # cookies know no ports


@pytest.mark.parametrize("path", [SOCKET, "live/pictures"])
def test_websockets_want_the_token_too(locked: Looking, path: str) -> None:
    url = locked.url.replace("http:", "ws:") + path
    with pytest.raises(InvalidStatus) as refused, connect(url):
        pass
    assert refused.value.response.status_code == 401
    for name, value in (("Origin", "http://evil.example"), ("Origin", "null")):
        with (
            pytest.raises(InvalidStatus) as refused,
            connect(url, additional_headers={"Authorization": f"Bearer {TOKEN}", name: value}),
        ):
            pass
        assert refused.value.response.status_code == 403


def test_a_websocket_with_the_token_opens(locked: Looking) -> None:
    url = locked.url.replace("http:", "ws:") + SOCKET
    with httpx.Client(verify=False) as client:
        client.get(f"{locked.url}api/v1/health", params={"token": TOKEN})
        cookie = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
    for headers in ({"Authorization": f"Bearer {TOKEN}"}, {"Cookie": cookie}):
        with connect(url, additional_headers=headers) as websocket:
            assert websocket.recv(timeout=10)


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8350", "192.0.2.7", "localhost.evil.example", "[::2]", "[", ""]
)
def test_without_a_token_only_names_of_this_machine_are_answered(unlocked: Looking, host: str) -> None:
    answer = get(f"{unlocked.url}api/v1/health", headers={"Host": host})
    assert answer.status_code == 421
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:80", "127.0.0.1:1", "[::1]:8350", "me.localhost", "localhost."]
)
def test_names_of_this_machine_are_answered(unlocked: Looking, host: str) -> None:
    assert get(f"{unlocked.url}api/v1/health", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1", "http://[", "file://"])
def test_pages_of_other_sites_may_not_ask(unlocked: Looking, origin: str) -> None:
    for method in ("GET", "DELETE", "PUT", "POST", "OPTIONS"):
        answer = httpx.request(
            method, verify=False, url=f"{unlocked.url}api/v1/cameras/door", headers={"Origin": origin}
        )
        assert answer.status_code == 403
        assert "access-control-allow-origin" not in answer.headers


def test_our_own_page_may_ask(unlocked: Looking) -> None:
    own = {"Origin": unlocked.url.rstrip("/")}
    assert get(f"{unlocked.url}api/v1/health", headers=own).status_code == 200


@pytest.mark.parametrize("path", ["/", "/api/v1/health", "/api/v1/nothing", "/nothing"])
def test_browsers_are_told_to_be_careful(unlocked: Looking, locked: Looking, path: str) -> None:
    for looking in (unlocked, locked):
        headers = get(looking.url.rstrip("/") + path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert not path.startswith("/api/") or headers["cache-control"] == "no-store"


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "192.0.2.7"])
def test_others_are_let_in_only_with_a_token(url: str, address: str) -> None:
    settings = configured(url, live={"address": address})
    with Store(settings.storage) as store, pytest.raises(SettingsError, match=r"AFFECTSTREAM_LIVE_TOKEN=\$\(openssl"):
        LiveServer(None, store, settings)


def test_the_address_that_is_printed_has_the_token(url: str) -> None:
    settings = configured(url, live={"address": "0.0.0.0", "token": "with spaces & signs"})
    with Store(settings.storage) as store:
        server = LiveServer(None, store, settings)
        try:
            shown = httpx.URL(server.start())
            assert shown.params["token"] == "with spaces & signs"
            assert shown.host == socket.gethostname()
            here = shown.copy_with(host="127.0.0.1", path="/api/v1/health")
            assert get(here).status_code == 200
        finally:
            server.close()


def test_a_port_that_is_taken_is_one_clear_line(url: str) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        settings = configured(url, live={"port": other.getsockname()[1]})
        with (
            Store(settings.storage) as store,
            pytest.raises(SettingsError, match=r"^port \d+ .* is taken; set live.port"),
        ):
            LiveServer(None, store, settings).start()


@pytest.mark.parametrize("address", ["192.0.2.7", "no.such.host.invalid", "a b", "", "x" * 300])
def test_an_address_that_is_not_ours_is_one_clear_line(url: str, address: str) -> None:
    settings = configured(url, live={"address": address, "token": TOKEN})
    with Store(settings.storage) as store, pytest.raises(SettingsError, match=r"is no address of this machine"):
        LiveServer(None, store, settings).start()
