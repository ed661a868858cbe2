"""The live page as a viewer sees it: a real run of the demo, in a real browser."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.dashboards.viewing import PATIENCE, Served, Viewer, chromium, served

pytestmark = [pytest.mark.xdist_group("live"), pytest.mark.timeout(300)]
expect.set_options(timeout=PATIENCE)

Look = Callable[..., Viewer]
SHOWN = "document.querySelector('img[data-camera]')?.naturalWidth > 0"
NO_SIDEWAYS = "document.documentElement.scrollWidth <= innerWidth"
DRAWN = """(() => {
    const canvas = document.querySelector('.chart canvas');
    if (!canvas) return false;
    const {data} = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
    for (let at = 0; at < data.length; at += 4)  // happy's yellow
        if (data[at] > 220 && data[at + 1] > 210 && data[at + 2] < 110 && data[at + 3] > 200) return true;
    return false;
})()"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as one:
        yield one


@pytest.fixture(scope="module")
def demo(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A replay of the demo as it was recorded, behind a token."""
    settings = {"live_token": "a-token-for-the-tests"}
    folder = tmp_path_factory.mktemp("demo")
    with served(folder, "run", "demo:600", "--pace", "realtime", "--live", settings=settings) as run:
        yield run


@pytest.fixture
def look(browser: Browser) -> Iterator[Look]:
    """Opens viewers, whose pages must have had nothing to complain about in the end."""
    viewers: list[Viewer] = []

    def open_viewer(url: str, **how: object) -> Viewer:
        viewers.append(Viewer(browser, url, **how))  # type: ignore[arg-type]
        return viewers[-1]

    yield open_viewer
    for viewer in viewers:
        viewer.close()
    assert [viewer.complaints for viewer in viewers] == [[] for _ in viewers]
    assert [viewer.strangers for viewer in viewers] == [[] for _ in viewers]


def test_the_page_fills_with_what_happens(demo: Served, look: Look) -> None:
    viewer = look(demo.url)
    assert "token" not in viewer.page.url
    card = viewer.page.get_by_role("region", name="Camera demo")
    expect(card).to_contain_text("recording")
    expect(card.locator(".person").first).to_be_visible()
    expect(card.locator(".count")).to_contain_text("now")
    expect(viewer.page.get_by_role("log")).to_contain_text("demo: demo began")
    expect(viewer.page.get_by_role("log")).to_contain_text("person 1 appeared")
    viewer.wait(DRAWN)
    viewer.wait(SHOWN)
    first = viewer.page.locator("img[data-camera]").get_attribute("src")
    viewer.wait(f"document.querySelector('img[data-camera]').src != '{first}'")


def test_the_keyboard_reaches_a_person_opens_them_and_comes_back(demo: Served, look: Look) -> None:
    viewer = look(demo.url)
    page = viewer.page
    expect(page.locator(".person:not(.left)").first).to_be_visible()
    for _ in range(12):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.classList.contains('person')"):
            break
    focused = page.locator(".person:focus")
    expect(focused).to_have_css("outline-style", "solid")
    name = focused.get_attribute("aria-label") or ""
    assert name.startswith("Person ")
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    expect(dialog).to_contain_text(name.partition(",")[0])
    expect(dialog).to_contain_text("Stress episodes")
    assert page.evaluate("document.querySelector('[role=dialog]').contains(document.activeElement)")
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    viewer.wait("document.activeElement.classList.contains('person')")


def test_a_person_who_is_looked_at_is_still_there_after_a_reload(demo: Served, look: Look) -> None:
    viewer = look(demo.url)
    viewer.page.locator(".person").first.click()
    expect(viewer.page.get_by_role("dialog")).to_be_visible()
    viewer.wait("location.search.includes('person=')")
    viewer.page.reload()
    expect(viewer.page.get_by_role("dialog")).to_contain_text("Stress episodes")
    viewer.page.get_by_role("button", name="Close").click()
    viewer.wait("location.search == ''")


def test_on_a_phone_nothing_reaches_over_the_edge(demo: Served, look: Look) -> None:
    viewer = look(demo.url, width=390)
    expect(viewer.page.locator(".person").first).to_be_visible()
    viewer.wait(SHOWN)
    assert viewer.page.evaluate(NO_SIDEWAYS)
    viewer.page.locator(".person").first.click()
    expect(viewer.page.get_by_role("dialog")).to_contain_text("Stress episodes")
    assert viewer.page.evaluate(NO_SIDEWAYS)
    wide = "document.querySelector('.person-view').getBoundingClientRect().right <= innerWidth"
    assert viewer.page.evaluate(wide)


def test_it_is_dark_where_the_viewer_wants_it_dark_and_remembers_a_choice(demo: Served, look: Look) -> None:
    viewer = look(demo.url, dark=True)
    viewer.wait("document.body.classList.contains('body--dark')")
    viewer.page.get_by_role("button", name="Dark or light").click()
    viewer.wait("!document.body.classList.contains('body--dark')")
    viewer.page.reload()
    expect(viewer.page.locator(".card").first).to_be_visible()
    assert not viewer.page.evaluate("document.body.classList.contains('body--dark')")


def test_several_viewers_look_at_once_and_one_may_go(demo: Served, look: Look) -> None:
    one, other = look(demo.url), look(demo.url)
    for viewer in (one, other):
        viewer.wait(SHOWN)
    one.close()
    shown = other.page.locator("img[data-camera]").get_attribute("src")
    other.wait(f"document.querySelector('img[data-camera]').src != '{shown}'")


def test_the_page_goes_on_when_the_server_was_away(demo: Served, look: Look) -> None:
    viewer = look(demo.url)
    viewer.wait(SHOWN)
    demo.stop()
    viewer.page.evaluate("window.before = true")
    demo.start()
    viewer.wait("!window.before")
    expect(viewer.page.get_by_role("log")).to_contain_text("demo: demo began")
    viewer.wait(SHOWN)
    viewer.complaints.clear()  # of the time in which nobody answered
    expect(viewer.page.locator(".person").first).to_be_visible()


def test_with_level_aggregate_there_is_neither_picture_nor_person(tmp_path: Path, look: Look) -> None:
    arguments = ("run", "demo:600", "--pace", "realtime", "--live", "--privacy", "aggregate", "--window", "1")
    with served(tmp_path, *arguments) as run:
        viewer = look(run.url)
        card = viewer.page.get_by_role("region", name="Camera demo")
        expect(card).to_contain_text("no pictures, no people")
        expect(card.locator(".count")).to_have_text("1 person now")
        viewer.wait(DRAWN.replace("data[at] > 220 && data[at + 1] > 210 && data[at + 2] < 110", "data[at] > 100"))
        assert viewer.page.locator("img[data-camera], .person").count() == 0
        expect(viewer.page.get_by_role("log")).not_to_contain_text("person")
        viewer.close()


def test_an_empty_page_says_what_to_do(tmp_path: Path, look: Look) -> None:
    with served(tmp_path, "live") as live:
        viewer = look(live.url)
        expect(viewer.page.get_by_text("No camera yet")).to_be_visible()
        expect(viewer.page.get_by_text("affectstream run 0 --live")).to_be_visible()
        viewer.close()
