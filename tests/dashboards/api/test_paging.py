"""Turning pages shows every row once, also while rows are being added."""

from typing import Any

import pytest

from tests.dashboards.api.serving import Looking, configured, serving


def every(looking: Looking, path: str, **parameters: Any) -> list[Any]:
    """All rows, a page at a time."""
    page = looking.get(path, **parameters)
    rows: list[Any] = page["items"]
    while page["next"] is not None:
        assert len(page["items"]) == parameters["limit"]
        answer = looking.client.get(looking.url.rstrip("/") + page["next"])
        page = answer.json()
        rows += page["items"]
    return rows


def key(row: dict[str, Any]) -> tuple[Any, ...]:
    names = ("window_start", "window_seconds", "camera_id", "person_id", "started_at", "first_seen", "run_id")
    return tuple(row.get(name) for name in names)


@pytest.mark.parametrize("order", ["newest", "oldest"])
@pytest.mark.parametrize("path", ["/windows", "/person-windows", "/episodes", "/people", "/runs"])
@pytest.mark.parametrize("limit", [1, 7])
def test_pages_join_without_gap_or_overlap(filled: Looking, path: str, order: str, limit: int) -> None:
    at_once = filled.get(path, limit=1000, order=order)
    assert at_once["next"] is None
    assert len(at_once["items"]) >= 2
    assert every(filled, path, limit=limit, order=order) == at_once["items"]


def test_a_filter_holds_on_every_page(filled: Looking) -> None:
    rows = every(filled, "/windows", limit=3, camera_id="door", window_seconds=1)
    assert len(rows) == 40
    assert {(row["camera_id"], row["window_seconds"]) for row in rows} == {("door", 1)}


@pytest.mark.parametrize("order", ["newest", "oldest"])
def test_rows_that_are_added_meanwhile_hide_and_double_none(url: str, order: str) -> None:
    with serving(configured(url)) as looking:
        looking.watch("door", seconds=20)
        there = {key(row) for row in every(looking, "/windows", limit=1000)}
        page = looking.get("/windows", limit=2, order=order)
        seen = [key(row) for row in page["items"]]
        later = 0
        while page["next"] is not None:
            later += 1
            if later <= 8:
                looking.watch("door", seconds=2, first=100 * later)
            page = looking.client.get(looking.url.rstrip("/") + page["next"]).json()
            seen += [key(row) for row in page["items"]]
        assert len(seen) == len(set(seen))
        assert there <= set(seen)
        assert (order == "oldest") == (len(seen) > len(there))  # what came later comes later


def test_a_page_belongs_to_its_kind(filled: Looking) -> None:
    after = filled.get("/people", limit=1)["next"].split("after=")[1]
    answer = filled.client.get(f"/windows?after={after}")
    assert answer.status_code == 422
