"""Drops from a hub whom another process has made forgotten: the store's marks say who that is."""

from functools import partial
from typing import Final

from contracts.errors import StorageError
from dashboards.live.hub import Hub
from dashboards.live.watching import WhileWatched
from storage.forgotten import marked
from storage.store import Store

LOOK_EVERY: Final = 1.0  # seconds


def forgetting(hub: Hub, store: Store) -> WhileWatched:
    """Nobody sees a forgotten person for longer than about a second."""

    def look(_: bool) -> bool:
        known = hub.remembered()
        if not known:
            return True
        try:
            gone = store.transact(partial(marked, people=known), write=False, patient=False)
        except StorageError:
            return False  # who is away is told by those who need it more
        for person_id in gone:
            hub.forget(person_id)
        return True

    return WhileWatched(hub, look, every=LOOK_EVERY, name="forgetting")
