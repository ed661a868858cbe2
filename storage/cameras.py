"""The cameras that the ingest workers read, and which worker reads which.

A worker holds a camera for some seconds at a time, its lease. One that dies lets its leases run out, and others take
the cameras. All times are the database's, so that the workers' clocks need not agree; each change of hands counts the
camera's epoch up. A camera that is removed forgets its address at once, and stays held until its reader has ended.
"""

from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from typing import Any, Final, Literal, TypeAlias, TypeVar

import msgspec
from sqlalchemy import ColumnElement, Connection, delete, func, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from storage.store import Store
from storage.tables import camera, ingest_worker
from storage.values import storable

T = TypeVar("T")
Change: TypeAlias = Literal["added", "changed", "unchanged"]


class CameraLease(msgspec.Struct, frozen=True):
    """A camera that a worker holds."""

    camera_id: str
    url: str | None  # with credentials: for no message; None where the camera has been removed
    epoch: int


class Camera(msgspec.Struct, frozen=True):
    """A registered camera."""

    camera_id: str
    url: str  # with credentials: for no message
    reader: str | None  # the worker that holds it now


class Share(msgspec.Struct, frozen=True):
    """How many cameras and living workers there are, and how many of the cameras one worker should hold."""

    cameras: int
    workers: int
    fair: int


class Cameras:
    """The registered cameras of a database. `patient`: whether to wait a little for a database that is away."""

    def __init__(self, store: Store, *, patient: bool = True) -> None:
        self._store: Final = store
        self._patient: Final = patient

    def add(self, camera_id: str, url: str) -> Change:
        """Registers a camera, or gives it another address. The address is stored with its credentials."""
        return self._do(partial(_add, camera_id=storable(camera_id), url=storable(url)))

    def remove(self, camera_id: str) -> bool:
        """Forgets the camera's address; False where it has none. What was seen with it stays."""
        return self._do(partial(_remove, camera_id=storable(camera_id)))

    def list(self) -> Sequence[Camera]:
        """The registered cameras, by name."""
        return self._store.transact(_list, write=False, patient=self._patient)

    def workers(self) -> int:
        """How many living workers read the registered cameras."""
        return self._store.transact(_workers, write=False, patient=self._patient)

    def join(self, owner: str, seconds: float) -> Share:
        """Says that the worker lives, for so many seconds, and tells its fair share of the cameras."""
        return self._do(partial(_join, owner=owner, seconds=seconds))

    def leave(self, owner: str) -> None:
        """The worker ends: it gives up everything that it holds."""
        self._do(partial(_leave, owner=owner))

    def claim(self, owner: str, seconds: float, most: int) -> Sequence[CameraLease]:
        """Takes up to `most` cameras that nobody holds, or whose lease has run out."""
        return self._do(partial(_claim, owner=owner, seconds=seconds, most=most)) if most > 0 else []

    def renew(self, owner: str, seconds: float) -> Sequence[CameraLease]:
        """Holds on to all that the worker still holds. What is missing from the answer has gone to another."""
        return self._do(partial(_renew, owner=owner, seconds=seconds))

    def held(self, owner: str) -> Sequence[CameraLease]:
        """What the worker holds, without holding on to it."""
        return self._store.transact(partial(_held, owner=owner), write=False, patient=self._patient)

    def release(self, owner: str, camera_ids: Sequence[str]) -> None:
        """Gives cameras up, as far as the worker still holds them."""
        if camera_ids:
            self._do(partial(_release, owner=owner, camera_ids=camera_ids))

    def _do(self, work: Callable[[Connection], T]) -> T:
        return self._store.transact(work, patient=self._patient)


def _add(connection: Connection, camera_id: str, url: str) -> Change:
    kind = postgresql if connection.dialect.name == "postgresql" else sqlite
    new = kind.insert(camera).values(camera_id=camera_id, url=url, created_at=_in(connection, 0))
    if connection.execute(new.on_conflict_do_nothing()).rowcount:
        return "added"
    known = camera.c.camera_id == camera_id
    before = connection.execute(select(camera.c.url).where(known).with_for_update()).scalar_one()
    connection.execute(update(camera).where(known).values(url=url))
    return "added" if before is None else "unchanged" if before == url else "changed"


def _remove(connection: Connection, camera_id: str) -> bool:
    registered = (camera.c.camera_id == camera_id) & camera.c.url.is_not(None)
    return connection.execute(update(camera).where(registered).values(url=None)).rowcount > 0


def _list(connection: Connection) -> Sequence[Camera]:
    held = camera.c.lease_until > _in(connection, 0)
    query = select(camera.c.camera_id, camera.c.url, camera.c.lease_owner, held.label("held"))
    rows = connection.execute(query.where(camera.c.url.is_not(None)).order_by(camera.c.camera_id))
    return [Camera(row.camera_id, row.url, row.lease_owner if row.held else None) for row in rows]


def _workers(connection: Connection) -> int:
    living = select(func.count()).select_from(ingest_worker).where(ingest_worker.c.lease_until > _in(connection, 0))
    return connection.scalar(living) or 0


def _join(connection: Connection, owner: str, seconds: float) -> Share:
    now, until = _in(connection, 0), _in(connection, seconds)
    kind = postgresql if connection.dialect.name == "postgresql" else sqlite
    here = kind.insert(ingest_worker).values(owner=owner, joined_at=now, lease_until=until)
    connection.execute(here.on_conflict_do_update(index_elements=["owner"], set_={"lease_until": until}))
    # Those that another clears away at this moment are left to it, lest two wait for each other.
    dead = select(ingest_worker.c.owner).where(ingest_worker.c.lease_until <= now).with_for_update(skip_locked=True)
    connection.execute(delete(ingest_worker).where(ingest_worker.c.owner.in_(dead)))
    living = select(ingest_worker.c.owner).where(ingest_worker.c.lease_until > now)
    # The longest here first: who comes takes a place at the end, and moves nobody else's.
    owners = connection.scalars(living.order_by(ingest_worker.c.joined_at, ingest_worker.c.owner)).all()
    cameras = connection.scalar(select(func.count()).where(camera.c.url.is_not(None))) or 0
    each, rest = divmod(cameras, len(owners))
    return Share(cameras, len(owners), each + (owners.index(owner) < rest))


def _leave(connection: Connection, owner: str) -> None:
    _release(connection, owner, None)
    connection.execute(delete(ingest_worker).where(ingest_worker.c.owner == owner))


def _claim(connection: Connection, owner: str, seconds: float, most: int) -> Sequence[CameraLease]:
    nobody = or_(camera.c.lease_owner.is_(None), camera.c.lease_until <= _in(connection, 0))
    free = select(camera.c.camera_id).where(camera.c.url.is_not(None), nobody).order_by(camera.c.camera_id).limit(most)
    # Those that another worker is taking, or renewing, at this moment are passed over.
    taken = connection.scalars(free.with_for_update(skip_locked=True)).all()
    epoch = camera.c.lease_epoch + 1
    change = update(camera).where(camera.c.camera_id.in_(taken)).values(lease_epoch=epoch)
    return _hold(connection, change, owner, seconds)


def _renew(connection: Connection, owner: str, seconds: float) -> Sequence[CameraLease]:
    return _hold(connection, update(camera).where(camera.c.lease_owner == owner), owner, seconds)


def _held(connection: Connection, owner: str) -> Sequence[CameraLease]:
    own = (camera.c.lease_owner == owner) & (camera.c.lease_until > _in(connection, 0))
    query = select(camera.c.camera_id, camera.c.url, camera.c.lease_epoch).where(own)
    return [CameraLease(*row) for row in connection.execute(query.order_by(camera.c.camera_id))]


def _hold(connection: Connection, change: Any, owner: str, seconds: float) -> Sequence[CameraLease]:
    held = change.values(lease_owner=owner, lease_until=_in(connection, seconds))
    rows = connection.execute(held.returning(camera.c.camera_id, camera.c.url, camera.c.lease_epoch))
    return sorted((CameraLease(*row) for row in rows), key=lambda lease: lease.camera_id)


def _release(connection: Connection, owner: str, camera_ids: Sequence[str] | None) -> None:
    own = update(camera).where(camera.c.lease_owner == owner)
    if camera_ids is not None:
        own = own.where(camera.c.camera_id.in_(camera_ids))
    connection.execute(own.values(lease_owner=None, lease_until=None))


def _in(connection: Connection, seconds: float) -> ColumnElement[Any]:
    """The database's time in so many seconds. It stands still within a transaction, which errs on the safe side."""
    if connection.dialect.name == "postgresql":
        return func.now() + timedelta(seconds=seconds)
    return func.strftime("%Y-%m-%d %H:%M:%f000Z", "now", f"{seconds:+.3f} seconds")
