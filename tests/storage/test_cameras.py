"""Each camera has one reader at most, whatever the readers do; on SQLite and on a real Postgres."""

import random
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from storage.cameras import CameraLease, Cameras, Share
from storage.store import Store
from tests.storage.samples import opened, run, select

URL = "rtsp://user:geheim@10.0.0.1/live"


@pytest.fixture
def cameras(store: Store) -> Cameras:
    return Cameras(store)


def added(cameras: Cameras, count: int) -> list[str]:
    names = [f"camera-{number}" for number in range(count)]
    for name in names:
        cameras.add(name, URL)
    return names


def names(leases: object) -> list[str]:
    assert isinstance(leases, list)
    return [lease.camera_id for lease in leases]


def test_cameras_are_added_changed_removed_and_listed(cameras: Cameras) -> None:
    assert cameras.add("door", URL) == "added"
    assert cameras.add("door", URL) == "unchanged"
    assert cameras.add("door", URL + "2") == "changed"
    assert cameras.add("hall", URL) == "added"
    assert [(camera.camera_id, camera.url, camera.reader) for camera in cameras.list()] == [
        ("door", URL + "2", None),
        ("hall", URL, None),
    ]
    assert cameras.remove("door")
    assert not cameras.remove("door")
    assert not cameras.remove("nobody")
    assert [camera.camera_id for camera in cameras.list()] == ["hall"]
    assert cameras.add("door", URL) == "added"


def test_an_address_is_forgotten_with_its_password_when_the_camera_is_removed(url: str) -> None:
    with opened(url) as store:
        cameras = Cameras(store)
        cameras.add("door", URL)
        cameras.claim("a", 60, 1)
        cameras.remove("door")
        assert cameras.renew("a", 60) == [CameraLease("door", None, 1)]
    assert select(url, "SELECT camera_id FROM camera WHERE url IS NOT NULL") == []


def test_runs_of_a_registered_camera_leave_its_registration_alone(store: Store, cameras: Cameras) -> None:
    cameras.add("door", URL)
    lease = cameras.claim("a", 60, 1)
    store.start_run(run(camera_id="door"))
    store.start_run(run(camera_id="hall", run_id="hall-1"))
    assert [camera.camera_id for camera in cameras.list()] == ["door"]
    assert cameras.held("a") == lease
    assert cameras.add("hall", URL) == "added"


def test_a_lease_belongs_to_one_until_it_runs_out_or_is_given_back(cameras: Cameras) -> None:
    all_of_them = added(cameras, 5)
    assert names(cameras.claim("a", 60, 2)) == all_of_them[:2]
    assert names(cameras.claim("b", 1, 9)) == all_of_them[2:]
    assert cameras.claim("c", 60, 9) == []
    assert [camera.reader for camera in cameras.list()] == ["a", "a", "b", "b", "b"]
    cameras.release("a", [all_of_them[0], all_of_them[2]])  # the second is not a's to give
    assert cameras.claim("c", 60, 9) == [CameraLease(all_of_them[0], URL, 2)]
    time.sleep(1.1)
    assert [camera.reader for camera in cameras.list()] == ["c", "a", None, None, None]
    assert cameras.held("b") == []
    taken = cameras.claim("c", 60, 9)
    assert [(lease.camera_id, lease.epoch) for lease in taken] == [(name, 2) for name in all_of_them[2:]]
    assert cameras.renew("b", 60) == []
    cameras.leave("c")
    assert names(cameras.claim("a", 60, 9)) == [all_of_them[0], *all_of_them[2:]]


def test_renewing_holds_on(cameras: Cameras) -> None:
    added(cameras, 1)
    before = cameras.claim("a", 1, 1)
    for _ in range(4):
        time.sleep(0.5)
        assert cameras.renew("a", 1) == before
        assert cameras.claim("b", 60, 1) == []


def test_shares_are_fair_and_add_up_and_the_newcomer_moves_nobody_elses_place(cameras: Cameras) -> None:
    added(cameras, 5)
    assert cameras.join("m", 60) == Share(5, 1, 5)
    assert cameras.join("a", 60) == Share(5, 2, 2)
    assert cameras.join("m", 60) == Share(5, 2, 3)
    assert cameras.join("z", 1) == Share(5, 3, 1)
    assert [cameras.join(owner, 60).fair for owner in "ma"] == [2, 2]
    time.sleep(1.1)  # z has died
    assert [cameras.join(owner, 60).fair for owner in "ma"] == [3, 2]
    cameras.leave("m")
    assert cameras.join("a", 60) == Share(5, 1, 5)


def test_workers_that_grab_at_the_same_moment_never_hold_the_same_camera(url: str) -> None:
    with opened(url) as store:
        cameras = Cameras(store)
        everything = added(cameras, 40)

        def grab(owner: str) -> list[CameraLease]:
            dice, mine = random.Random(owner), list[CameraLease]()
            for _ in range(15):
                cameras.join(owner, 60)
                mine += cameras.claim(owner, 60, dice.randrange(4))
                held = cameras.renew(owner, 60)
                assert sorted(held, key=repr) == sorted(mine, key=repr)
                given = dice.sample(names(mine), k=min(len(mine), dice.randrange(3)))
                cameras.release(owner, given)
                mine = [lease for lease in mine if lease.camera_id not in given]
            return mine

        with ThreadPoolExecutor(6) as pool:
            held = list(pool.map(grab, "abcdef"))
        counts = Counter(name for leases in held for name in names(leases))
        assert set(counts.values()) <= {1}
        rest = names(cameras.claim("last", 60, 99))
        assert sorted([*counts, *rest]) == sorted(everything)
