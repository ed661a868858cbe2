"""Every resource tells what is stored and what is now, as its description says."""

import json
import time
from base64 import urlsafe_b64encode
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from contracts.emotions import EMOTIONS
from dashboards.live.api.models import Emotions
from tests.aggregator.scenes import SECOND, START
from tests.dashboards.api.serving import Looking, configured, serving, watch

BEGAN = datetime.fromtimestamp(START / SECOND, UTC)


def problem(answer: httpx.Response) -> str:
    """The sentence of a problem, which must be one after RFC 9457."""
    assert answer.headers["content-type"] == "application/problem+json"
    content = answer.json()
    assert set(content) == {"type", "title", "status", "detail"}
    assert content["status"] == answer.status_code
    assert "\n" not in content["detail"]
    return str(content["detail"])


def test_emotions_are_named_in_their_order() -> None:
    assert tuple(Emotions.model_fields) == EMOTIONS


def test_cameras_say_what_was_seen_with_them(filled: Looking) -> None:
    page = filled.get("/cameras")
    door, hall = page["items"]
    assert page["next"] is None
    assert (door["camera_id"], door["status"], door["frames"], door["people"]) == ("door", "finished", 200, 2)
    assert (hall["camera_id"], hall["status"], hall["registered"], hall["address"]) == ("hall", "running", False, None)
    assert filled.get("/cameras/door") == door
    assert problem(filled.client.get("/cameras/nowhere")) == "there is no camera 'nowhere'"


def test_now_tells_who_is_before_the_cameras(filled: Looking) -> None:
    now = filled.get("/now")
    door, hall = now["items"]
    assert now["source"] == "live"
    assert (door["people"], door["mean"], hall["people"]) == (0, None, 2)
    assert hall["stress"] > 0
    assert sum(hall["mean"].values()) == pytest.approx(1, abs=1e-3)
    people = filled.get("/now/people")["items"]
    assert [person["dominant"] for person in people] == ["neutral", "happy"] or len(people) == 2
    assert {person["camera_id"] for person in people} == {"hall"}
    assert filled.get("/now/people", camera_id="door")["items"] == []


def test_without_a_process_that_watches_now_is_the_newest_window(url: str) -> None:
    with serving(configured(url), hub=None) as looking:
        assert looking.get("/now") == {"source": "stored", "items": []}
        looking.watch("door")
        looking.watch("hall", ended=False, seconds=20)
        now = looking.get("/now")
        door, hall = now["items"]
        assert (now["source"], door["people"], hall["people"]) == ("stored", 0, 2)
        people = looking.get("/now/people")["items"]
        assert {person["camera_id"] for person in people} == {"hall"}
        assert sorted(person["dominant"] for person in people) != []
        assert len(people) == 2
        assert looking.get("/now/people", camera_id="door")["items"] == []
        assert "run --live" in problem(looking.client.get("/events"))
        assert "watches" in problem(looking.client.get("/cameras/hall/picture.jpg"))


def test_who_was_before_the_camera_in_an_earlier_run_is_not_there_now(url: str) -> None:
    settings = configured(url, aggregator={"windows": (10, 60)})
    with serving(settings, hub=None) as looking:
        watch(looking.store, None, configured(url, aggregator={"windows": (2,)}), "door", seconds=20, ended=True)
        looking.watch("door", ended=False, first=3600, seconds=5)  # its first window is not over
        assert (looking.get("/now")["items"][0]["people"], looking.get("/now/people")["items"]) == (0, [])
        later = looking.watch("door", ended=False, first=7200, seconds=25)
        [door] = looking.get("/now")["items"]
        people = looking.get("/now/people")["items"]
        assert (door["run_id"], door["people"], len(people)) == (later, 2, 2)
        assert {person["person_id"].rpartition(".")[0] for person in people} == {later}
        assert {person["last_seen"] for person in people} == {f"{BEGAN + timedelta(seconds=7220):%Y-%m-%dT%H:%M:%SZ}"}


def test_a_process_that_is_told_nothing_says_that_what_it_knows_is_stored(url: str) -> None:
    with serving(configured(url)) as looking:
        assert looking.get("/now")["source"] == "live"
    with serving(configured(url), hub="stored") as looking:
        watch(looking.store, None, looking.settings, "hall", seconds=20, ended=False)
        now, people = looking.get("/now"), looking.get("/now/people")
        assert (now["source"], people["source"]) == ("stored", "stored")
        assert (now["items"][0]["people"], len(people["items"])) == (2, 2)


def test_windows_by_camera_length_and_time(filled: Looking) -> None:
    tens = filled.get("/windows", camera_id="door", window_seconds=10, order="oldest")["items"]
    starts = [BEGAN + timedelta(seconds=10 * number) for number in range(4)]
    assert [datetime.fromisoformat(row["window_start"]) for row in tens] == starts
    assert {(row["frames"], row["people"], row["window_seconds"]) for row in tens} == {(50, 2, 10)}
    assert tens[0]["stress_ratio"] > 0
    some = {"since": starts[1].isoformat(), "until": starts[3].isoformat()}
    assert filled.get("/windows", camera_id="door", window_seconds=10, order="oldest", **some)["items"] == tens[1:3]
    newest = filled.get("/windows", camera_id="door", window_seconds=10)["items"]
    assert newest == tens[::-1]
    assert filled.get("/windows", camera_id="nowhere") == {"items": [], "next": None}


def test_people_their_windows_and_their_episodes(filled: Looking) -> None:
    people = filled.get("/people", camera_id="door")["items"]
    assert len(people) == 2
    for person in people:
        assert filled.get(f"/people/{person['person_id']}") == person
        windows = filled.get("/person-windows", person_id=person["person_id"], window_seconds=10)["items"]
        assert sum(row["seconds_observed"] for row in windows) == pytest.approx(person["seconds_observed"], abs=0.01)
        episodes = filled.get("/episodes", person_id=person["person_id"])["items"]
        assert len(episodes) == person["stress_episodes"]
        assert all(episode["seconds"] > 0 for episode in episodes)
    assert sorted(bool(person["stress_episodes"]) for person in people) == [False, True]
    assert filled.get("/episodes", camera_id="nowhere")["items"] == []
    assert "no person" in problem(filled.client.get("/people/nobody"))


def test_runs_say_how_they_ended(filled: Looking) -> None:
    hall, door = sorted(filled.get("/runs")["items"], key=lambda run: run["status"], reverse=True)
    assert (door["run_id"], door["status"], door["frames"], door["faces"]) == ("door-0", "finished", 200, 400)
    assert (hall["run_id"], hall["ended_at"]) == ("hall-0", None)
    assert filled.get("/runs", camera_id="hall")["items"] == [hall]


def test_health_tells_how_old_the_newest_data_is(filled: Looking) -> None:
    health = filled.get("/health")
    assert (health["status"], health["cameras"], health["troubles"]) == ("ok", 2, [])
    assert datetime.fromisoformat(health["newest"]) == BEGAN + timedelta(seconds=40)
    assert health["age_seconds"] > 0
    assert "hunter2" not in json.dumps(health)


def test_times_are_in_utc_and_may_be_asked_for_in_any_zone(filled: Looking) -> None:
    (first,) = filled.get("/windows", camera_id="door", window_seconds=10, order="oldest", limit=1)["items"]
    assert first["window_start"].endswith("Z")
    there = (BEGAN + timedelta(hours=5, minutes=30, seconds=30)).strftime("%Y-%m-%dT%H:%M:%S+05:30")
    (last,) = filled.get("/windows", camera_id="door", window_seconds=10, since=there)["items"]
    assert datetime.fromisoformat(last["window_start"]) == BEGAN + timedelta(seconds=30)


@pytest.mark.parametrize(
    ("path", "status", "says"),
    [
        ("/windows?since=2026-01-01T00:00:00", 422, "since: the time has no zone"),
        ("/windows?since=yesterday", 422, "since: this is no ISO 8601 time"),
        ("/windows?until=0001-01-01T00:00:00%2B14:00", 422, "until: this time is out of range"),
        ("/windows?limit=0", 422, "limit: "),
        ("/windows?limit=1001", 422, "limit: "),
        ("/windows?camera=door", 422, "there is no parameter 'camera'"),
        ("/now?camera_id=door", 422, "there is no parameter 'camera_id'"),
        ("/now/people?camera=door", 422, "there is no parameter 'camera'"),
        ("/cameras?limit=2", 422, "there is no parameter 'limit'"),
        ("/cameras/door?x=", 422, "there is no parameter 'x'"),
        ("/cameras/door/picture.jpg?t=1", 422, "there is no parameter 't'"),
        ("/people/nobody?since=x&x=y", 422, "there is no parameter 'since' here; there is no parameter 'x' here"),
        ("/health?deep=1", 422, "there is no parameter 'deep'"),
        ("/events?camera=door", 422, "there is no parameter 'camera'"),
        ("/windows?person_id=x", 422, "there is no parameter 'person_id'"),
        ("/windows?after=nonsense", 422, "after"),
        ("/windows?order=random", 422, "order: "),
        ("/nothing", 404, "there is nothing at /api/v1/nothing"),
        ("/", 404, "there is nothing at /api/v1/"),
        ("/cameras/", 404, "there is nothing at"),
    ],
)
def test_what_cannot_be_is_a_problem_that_names_it(filled: Looking, path: str, status: int, says: str) -> None:
    answer = filled.client.get(path)
    assert answer.status_code == status
    assert says in problem(answer)


def test_a_token_may_be_in_every_address_where_none_is_needed(filled: Looking) -> None:
    assert filled.get("/now", token="x") == filled.get("/now")
    assert filled.get("/windows", token="x", limit=1)["items"]


def test_a_way_of_asking_that_does_not_exist_is_a_problem(filled: Looking) -> None:
    answer = filled.client.post("/cameras", json={})
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET")
    assert problem(answer) == "POST cannot be done to /api/v1/cameras"
    assert filled.client.post("/cameras/door").headers["allow"] == "DELETE, GET, PUT"


def test_a_database_that_is_away_is_a_problem_and_comes_back() -> None:
    from tests.services.postgres import MISSING, PostgresServer, postgres_programs

    if postgres_programs() is None:
        pytest.skip(MISSING)
    server = PostgresServer()
    try:
        server.start()
        with serving(configured(server.url)) as looking:
            looking.watch("door", seconds=2)
            assert looking.get("/health")["status"] == "ok"
            server.stop()
            for path in ("/health", "/cameras", "/windows", "/people"):
                answer = looking.client.get(path)
                assert answer.status_code == 503
                assert "hunter2" not in problem(answer)
            assert looking.client.get("/now").status_code == 200  # what is now is not in the database
            server.start()
            assert looking.get("/cameras/door")["frames"] == 10
    finally:
        server.close()


def test_cameras_are_added_and_removed_while_ingest_workers_run(url: str) -> None:
    from storage.cameras import Cameras

    address = {"address": "rtsp://admin:s3cret@192.0.2.7/live?token=s3cret"}
    with serving(configured(url)) as looking:
        refused = looking.client.put("/cameras/door", json=address)
        assert refused.status_code == 409
        assert "no ingest worker" in problem(refused)
        assert looking.get("/cameras")["items"] == []
        Cameras(looking.store).join("worker", 60)
        added = looking.client.put("/cameras/door", json=address)
        assert (added.status_code, added.json()["address"]) == (201, "rtsp://***@192.0.2.7/live?token=***")
        assert looking.client.put("/cameras/door", json=address).status_code == 200
        assert Cameras(looking.store).list()[0].url == address["address"]
        assert "s3cret" not in looking.client.get("/cameras").text
        assert looking.client.delete("/cameras/door").status_code == 204
        assert Cameras(looking.store).list() == []
        again = looking.client.delete("/cameras/door")  # it is still known, but not ours to end
        assert (again.status_code, "not registered" in problem(again)) == (409, True)
        assert looking.client.delete("/cameras/nowhere").status_code == 404


@pytest.mark.parametrize(
    ("name", "address", "says"),
    [
        ("door", "/etc/passwd", "is no camera"),
        ("door", "file:///video.mp4", "is no camera"),
        ("door", "demo", "is no camera"),
        ("door", "rtsp://", "is no camera"),
        ("door", "http://[::1/", "is no camera"),
        ("door", "rtsp:/me:s3cret@cam/", "rtsp:/***@cam/"),
        ("a b", "rtsp://cam/", "is no name for a camera"),
    ],
)
def test_what_is_no_camera_is_refused(filled: Looking, name: str, address: str, says: str) -> None:
    refused = filled.client.put(f"/cameras/{name}", json={"address": address})
    assert refused.status_code == 422
    said = problem(refused)
    assert says in said
    assert "s3cret" not in said


def test_a_wrong_body_is_told_without_repeating_it(filled: Looking) -> None:
    for body in ('{"address": 5}', '{"adress": "rtsp://me:s3cret@cam/"}', "{", '"rtsp://me:s3cret@cam/"', "[]", ""):
        refused = filled.client.put("/cameras/x", content=body, headers={"Content-Type": "application/json"})
        assert refused.status_code == 422
        assert "s3cret" not in problem(refused)


def test_a_person_is_forgotten_everywhere(url: str) -> None:
    with serving(configured(url)) as looking:
        looking.watch("door", ended=False)
        first, second = (person["person_id"] for person in looking.get("/people")["items"])
        answer = looking.client.delete(f"/people/{first}")
        assert answer.status_code == 200
        done = answer.json()
        assert (done["person_id"], done["left"], done["notes"]) == (first, {}, [])
        assert all(done["removed"][table] > 0 for table in ("person", "observation", "window_stat"))
        assert looking.client.get(f"/people/{first}").status_code == 404
        looking.watch("hall", seconds=1)  # whatever comes, the hub has nothing of the person any more
        for path in ("/people", "/person-windows", "/episodes", "/now/people"):
            told = looking.client.get(path, params={"limit": 1000} if path != "/now/people" else {}).text
            assert first not in told
            assert path == "/episodes" or second in told
        assert not any(event.person_id == first for event in looking.hub.events())  # type: ignore[union-attr]
        again = looking.client.delete(f"/people/{first}")
        assert (again.status_code, set(again.json()["removed"].values())) == (200, {0})
        assert looking.client.get(f"/people/{second}").status_code == 200
        unknown = looking.client.delete("/people/nobody")
        assert (unknown.status_code, "nobody is called nobody" in problem(unknown)) == (404, True)


def test_an_empty_name_forgets_nobody(url: str) -> None:
    with serving(configured(url)) as looking:
        looking.watch("door")
        before = looking.get("/windows")
        blank = looking.client.delete("/people/%20")
        assert (blank.status_code, "a pseudonym is empty" in problem(blank)) == (404, True)
        assert not looking.client.delete("/people/").is_success
        assert before["items"]
        assert looking.get("/windows") == before


PERSONAL = ("/people", "/people/x", "/person-windows", "/episodes", "/now/people")


def test_with_level_aggregate_nothing_tells_of_any_one_person(url: str) -> None:
    with serving(configured(url)) as before:  # the database still has people of an earlier time
        before.watch("door")
        names = [person["person_id"] for person in before.get("/people")["items"]]
    assert len(names) == 2
    with serving(configured(url, privacy={"level": "aggregate"})) as looking:
        looking.watch("hall", ended=False)
        for path in (*PERSONAL, f"/people/{names[0]}"):
            refused = looking.client.get(path)
            assert refused.status_code == 403
            assert "privacy.level is aggregate" in problem(refused)
        assert looking.client.delete(f"/people/{names[0]}").status_code == 403
        told = "".join(looking.client.get(path).text for path in ("/cameras", "/now", "/windows", "/runs", "/health"))
        assert not any(name in told for name in names)
        assert not any("person" in event.kind for event in looking.hub.events())  # type: ignore[union-attr]
        assert looking.get("/windows", camera_id="hall")["items"]
        refused = looking.client.get("/cameras/hall/picture.jpg")
        assert (refused.status_code, "aggregate" in problem(refused)) == (403, True)


def test_the_description_is_complete(filled: Looking) -> None:
    description = filled.get("/openapi.json")
    assert description["servers"] == [{"url": "/api/v1"}]
    for path, operations in description["paths"].items():
        for method, operation in operations.items():
            about = (path, method)
            assert operation["summary"], about
            assert operation["description"], about
            assert operation["tags"], about
            for status, answer in operation["responses"].items():
                kinds: set[Any] = set(answer.get("content", {}))
                assert int(status) < 400 or kinds == {"application/problem+json"}, (about, status)


def test_a_fault_of_ours_tells_nothing_and_hurts_nobody_else(
    filled: Looking, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("some\nsecret")

    with monkeypatch.context() as patch:
        patch.setattr("storage.history.cameras", broken)
        answer = filled.client.get("/cameras")
    assert answer.status_code == 500
    assert "secret" not in problem(answer)
    deadline = time.monotonic() + 20  # the log is written after the answer
    while "GET /api/v1/cameras failed: RuntimeError: some secret" not in caplog.messages:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert len(filled.get("/cameras")["items"]) == 2


@pytest.mark.parametrize(
    "place",
    [
        '["2026-01-01T00:00:00Z",1000000000000000000000000000000,"door"]',
        '["2026-01-01T00:00:00Z",10,"do\\u0000or"]',
        '["2026-01-01T00:00:00Z",10,"\\ud800"]',
        '["0001-01-01T00:00:00+14:00",10,"door"]',
        '["2026-01-01T00:00:00Z",10]',
        "{}",
        "[[[",
    ],
)
def test_a_made_up_place_is_no_fault(filled: Looking, place: str) -> None:
    after = urlsafe_b64encode(place.encode()).decode().rstrip("=")
    for order in ("newest", "oldest"):
        answer = filled.client.get("/windows", params={"after": after, "order": order})
        assert answer.status_code in {200, 422}
