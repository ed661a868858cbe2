"""Cameras are shared out among the ingest workers, each to exactly one, whoever comes, goes, dies or hangs."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import pytest
from sqlalchemy import create_engine, make_url, text

from contracts.errors import SourceError
from contracts.settings import StorageSettings
from pipeline.camera_keeper import CameraKeeper
from storage import open_store
from storage.cameras import Cameras
from tests.services.postgres import MISSING, postgres_programs, postgres_server

LEASE = 2.0
SOON = LEASE + 4  # a lease, the next look at the database, and a slow machine


class Reading(NamedTuple):
    """That a worker read a camera, and when."""

    camera_id: str
    url: str
    owner: str
    begin: float
    end: float


class Worker:
    """A process of its own, that can be killed and frozen."""

    def __init__(self, url: str, owner: str) -> None:
        self.owner = owner
        self.readings: list[Reading] = []
        self.said: list[str] = []
        command = [sys.executable, "-m", "tests.pipeline.keeper_process", url, owner, str(LEASE)]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]
        )
        self._threads = [threading.Thread(target=work) for work in (self._listen, self._overhear)]
        for thread in self._threads:
            thread.start()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        open_: dict[str, tuple[str, float]] = {}
        for line in self.process.stdout:
            at, what, camera_id, url = line.split()
            if what == "begin":
                open_[camera_id] = (url, float(at))
                self.readings.append(Reading(camera_id, url, self.owner, float(at), float("inf")))
            else:
                url, begin = open_.pop(camera_id)
                self.readings.remove(Reading(camera_id, url, self.owner, begin, float("inf")))
                self.readings.append(Reading(camera_id, url, self.owner, begin, float(at)))
        died = time.monotonic()
        self.readings[:] = [reading._replace(end=min(reading.end, died)) for reading in self.readings]

    def _overhear(self) -> None:
        assert self.process.stderr is not None
        self.said.extend(line.strip() for line in self.process.stderr)

    @property
    def now(self) -> dict[str, str]:
        """What it reads at this moment."""
        return {reading.camera_id: reading.url for reading in list(self.readings) if reading.end == float("inf")}

    def end(self, number: signal.Signals = signal.SIGTERM) -> None:
        self.process.send_signal(number)
        self.process.wait(20)
        for thread in self._threads:
            thread.join(20)


def until(condition: Callable[[], bool], seconds: float = SOON) -> float:
    """Waits for it; gives how long that took."""
    started = time.monotonic()
    while not condition():
        assert time.monotonic() - started < seconds, "that took too long"
        time.sleep(0.02)
    return time.monotonic() - started


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    if postgres_programs() is None:
        pytest.skip(MISSING)
    with postgres_server() as url:
        yield url


@pytest.fixture
def url(server: str, request: pytest.FixtureRequest) -> str:
    name = f"keeper_{abs(hash(request.node.name)) % 10**9}"
    engine = create_engine(make_url(server).set(drivername="postgresql+psycopg2"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    engine.dispose()
    return make_url(server).set(database=name).render_as_string(hide_password=False)


@pytest.fixture
def cameras(url: str) -> Iterator[Cameras]:
    with open_store(StorageSettings(url=url)) as store:
        yield Cameras(store)


class Fleet:
    """Workers, and what all of them did."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.workers: list[Worker] = []

    def join(self, owner: str) -> Worker:
        self.workers.append(Worker(self._url, owner))
        return self.workers[-1]

    def holds(self, *counts: int) -> Callable[[], bool]:
        """Whether the living workers read so many cameras each, no two the same one, in any order."""

        def check() -> bool:
            living = [worker.now for worker in self.workers if worker.process.poll() is None]
            distinct = set().union(*living)
            return sorted(map(len, living)) == sorted(counts) and len(distinct) == sum(counts)

        return check

    def close(self) -> None:
        for worker in self.workers:
            if worker.process.poll() is None:
                worker.process.send_signal(signal.SIGCONT)
                worker.end()

    def assert_never_two_readers(self) -> None:
        readings = sorted((r for worker in self.workers for r in worker.readings), key=lambda r: (r.camera_id, r.begin))
        for one, next_ in pairwise(readings):
            assert one.camera_id != next_.camera_id or one.end <= next_.begin, (one, next_)


@pytest.fixture
def fleet(url: str) -> Iterator[Fleet]:
    fleet = Fleet(url)
    try:
        yield fleet
    finally:
        fleet.close()


def test_cameras_follow_the_workers_that_come_go_and_die(fleet: Fleet, cameras: Cameras) -> None:
    for number in range(7):
        cameras.add(f"camera-{number}", "rtsp://x/1")
    first = fleet.join("first")
    until(fleet.holds(7), 20)
    second, third = fleet.join("second"), fleet.join("third")
    until(fleet.holds(3, 2, 2), 20)

    killed = time.monotonic()
    second.end(signal.SIGKILL)
    until(fleet.holds(4, 3))
    assert time.monotonic() - killed > LEASE / 2  # not before its leases had run out

    third.end()  # says goodbye: what it read is taken over at once
    assert until(fleet.holds(7)) < LEASE
    assert third.process.returncode == 0
    assert first.process.poll() is None
    fleet.close()
    assert {camera.reader for camera in cameras.list()} == {None}
    fleet.assert_never_two_readers()


def test_cameras_are_added_changed_and_removed_while_all_runs(fleet: Fleet, cameras: Cameras) -> None:
    fleet.join("first"), fleet.join("second")
    time.sleep(1)
    cameras.add("door", "rtsp://x/1")
    until(fleet.holds(1, 0))
    cameras.add("hall", "rtsp://x/1")
    until(fleet.holds(1, 1))
    cameras.add("door", "rtsp://x/2")
    until(lambda: {"door": "rtsp://x/2"} in [worker.now for worker in fleet.workers])
    cameras.remove("door")
    cameras.remove("hall")
    until(fleet.holds(0, 0))
    cameras.add("door", "rtsp://x/3")  # while its reader may not have given it back yet
    until(lambda: {"door": "rtsp://x/3"} in [worker.now for worker in fleet.workers])
    fleet.close()
    fleet.assert_never_two_readers()


def test_a_worker_that_hangs_loses_its_cameras_and_stops_when_it_wakes(fleet: Fleet, cameras: Cameras) -> None:
    for number in range(4):
        cameras.add(f"camera-{number}", "rtsp://x/1")
    first, second = fleet.join("first"), fleet.join("second")
    until(fleet.holds(2, 2), 20)
    os.kill(first.process.pid, signal.SIGSTOP)
    until(lambda: len(second.now) == 4)
    before = set(first.now)
    os.kill(first.process.pid, signal.SIGCONT)
    woken = time.monotonic()
    until(fleet.holds(2, 2))
    ends = [r.end for r in first.readings if r.camera_id in before and r.begin < woken]
    assert max(ends) - woken < 1.0  # what it had read is dropped at once: the time has run out by its own clock


def test_without_a_database_reading_ends_with_the_leases_and_goes_on_with_it(fleet: Fleet, url: str) -> None:
    with open_store(StorageSettings(url=url)) as store:
        Cameras(store).add("door", "rtsp://x/1")
    worker = fleet.join("first")
    until(fleet.holds(1), 20)
    name = make_url(url).database
    admin = create_engine(
        make_url(url).set(drivername="postgresql+psycopg2", database="postgres"), isolation_level="AUTOCOMMIT"
    )
    end = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
    with admin.connect() as connection:
        connection.execute(text(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false"))
        connection.execute(text(end))
        until(lambda: not worker.now)
        connection.execute(text(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true"))
    until(fleet.holds(1), 15)
    admin.dispose()
    fleet.close()
    assert sum("trying again" in line for line in worker.said) == 1
    assert any("answers again" in line for line in worker.said)
    assert "hunter2" not in "".join(worker.said)


def test_a_camera_that_ends_by_itself_is_read_again_after_a_while(url: str, cameras: Cameras) -> None:
    class Short:
        alive = False
        error = SourceError("nobody is there")

        def stop(self) -> None: ...

    cameras.add("door", "rtsp://x/1")
    begun: list[float] = []
    said: list[str] = []

    def start(camera_id: str, address: str) -> Short:
        begun.append(time.monotonic())
        return Short()

    stopping = threading.Event()
    keeper = CameraKeeper(lambda: cameras, start, 5.0, say=said.append)
    thread = threading.Thread(target=keeper.run, args=(stopping,))
    thread.start()
    until(lambda: len(begun) >= 3, 10)
    stopping.set()
    thread.join(10)
    assert [round(b - a) for a, b in pairwise(begun[:3])] == [1, 2]
    assert said[0] == "door has ended: nobody is there; it is read again in 1 s"
