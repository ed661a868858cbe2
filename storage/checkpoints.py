"""Checkpoints: the state that goes on from where an aggregator was, written together with the rows it accounts for.

A checkpoint holds what is open: runs, faces that are being followed, windows that have not closed. In privacy level
`aggregate` it therefore still has tallies of single people, for as long as their windows are open: without them nobody
could go on after a crash. They leave with the window, and no view shows them.
"""

from collections.abc import Mapping, Sequence
from time import time_ns
from typing import TypeAlias

from sqlalchemy import Connection, select, update

from contracts.errors import StorageError
from contracts.rows import Rows, Run
from storage.backend import Backend
from storage.tables import checkpoint
from storage.values import storable, to_datetime
from storage.write import write_rows, write_run

Checkpoint: TypeAlias = tuple[int, bytes]
"""Version and state."""


class FencedError(StorageError):
    """Another writer has gone on with a camera in the meantime: nothing was written, and the state in hand is old."""


def read_checkpoints(connection: Connection, camera_ids: Sequence[str]) -> dict[str, Checkpoint]:
    """The checkpoints of these cameras; those without one are left out."""
    asked = {storable(camera_id): camera_id for camera_id in camera_ids}
    query = select(checkpoint.c.camera_id, checkpoint.c.version, checkpoint.c.state)
    found = connection.execute(query.where(checkpoint.c.camera_id.in_(list(asked))))
    return {asked[row.camera_id]: (row.version, bytes(row.state)) for row in found}


def cameras_with_checkpoints(connection: Connection) -> list[str]:
    """The cameras that an aggregator could go on with."""
    return list(connection.scalars(select(checkpoint.c.camera_id).order_by(checkpoint.c.camera_id)))


def write_with_checkpoints(
    connection: Connection, backend: Backend, rows: Rows, runs: Sequence[Run], checkpoints: Mapping[str, Checkpoint]
) -> None:
    """Stores rows, runs and checkpoints in the connection's transaction; `checkpoints` has the versions expected.

    Raises FencedError where a version is another one by now; the transaction must be rolled back then.
    """
    # First, since this keeps other writers of the same cameras waiting until it is decided who has lost.
    for camera_id in sorted(checkpoints):
        expected, state = checkpoints[camera_id]
        _write_checkpoint(connection, backend, camera_id, expected, state)
    for row in sorted(runs, key=lambda row: row.run_id):
        write_run(connection, backend, row, started=row.ended_at is None)
    write_rows(connection, backend, rows)


def _write_checkpoint(connection: Connection, backend: Backend, camera_id: str, expected: int, state: bytes) -> None:
    values = {"version": expected + 1, "state": state, "updated_at": to_datetime(time_ns())}
    if expected == 0:
        first = backend.insert(checkpoint).values(camera_id=storable(camera_id), **values)
        done = connection.execute(first.on_conflict_do_nothing())
    else:
        mine = (checkpoint.c.camera_id == storable(camera_id)) & (checkpoint.c.version == expected)
        done = connection.execute(update(checkpoint).where(mine).values(**values))
    if done.rowcount != 1:
        raise FencedError(f"camera {camera_id}: another worker has gone on with it since checkpoint {expected}")
