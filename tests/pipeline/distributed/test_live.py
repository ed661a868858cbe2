"""`affectstream live` beside real workers on real servers: it shows what they do, and costs them nothing unwatched."""

import sys
from pathlib import Path

import pytest
from playwright.sync_api import expect

from pipeline.supervisor import Task
from tests.dashboards.viewing import PATIENCE, Viewer, chromium, served
from tests.pipeline.distributed.cluster import Cluster, until

pytestmark = [pytest.mark.xdist_group("kafka"), pytest.mark.timeout(300), pytest.mark.slow]
HAAR = {"detector_name": "haar", "detector_workers": 1, "aggregator_windows": "2,10"}
expect.set_options(timeout=PATIENCE)


def watch_keys(place: Cluster) -> set[bytes]:
    with place.redis.client() as client:
        return set(client.scan_iter("cluster_*:watch*", count=1000))


def replay(place: Cluster) -> Task:
    command = ("replay", "demo:120", "--camera", "door", "--pace", "realtime", "--start", "now")
    return Task("replay-door", (sys.executable, "-m", "pipeline", *command), once=True, environment=place.environment)


def test_the_page_shows_what_the_workers_do_and_outlives_redis(place: Cluster, tmp_path: Path) -> None:
    place.fresh(HAAR)
    settings = {name.removeprefix("AFFECTSTREAM_").lower(): value for name, value in place.environment.items()}
    with (
        chromium() as browser,
        place.workers(1, sys.stderr, others=[replay(place)]),
        served(tmp_path, "live", settings=settings) as live,
    ):
        until(lambda: bool(place.ask("SELECT 1 FROM observation LIMIT 1")), 120)
        assert watch_keys(place) == set(), "nobody looks"

        viewer = Viewer(browser, live.url)
        page, alert = viewer.page, viewer.page.get_by_role("alert")
        expect(page.get_by_role("region", name="Camera door")).to_contain_text("now")
        expect(page.locator(".person").first).to_be_visible()
        viewer.wait("document.querySelector('img[data-camera]').naturalWidth > 0")
        assert {key.partition(b":")[2] for key in watch_keys(place)} == {b"watch", b"watch:door"}

        place.redis.kill()
        expect(alert).to_contain_text("What happens now cannot be seen")
        place.redis.start()
        expect(alert).to_be_hidden()
        shown = page.locator("img[data-camera]").get_attribute("src")
        viewer.wait(f"document.querySelector('img[data-camera]').src != '{shown}'")

        assert viewer.complaints == []
        viewer.close()
        until(lambda: watch_keys(place) == set(), 30)
