"""What the detect and the classify worker have in common: tries, dead letters, threads."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from contracts.errors import StageError
from contracts.settings import RedisSettings
from pipeline import metrics
from pipeline.link import Link, StoppedError
from pipeline.streams import HUNG, Consumer, Entry, Stage
from pipeline.workers.shell import Shell

WAIT: Final = 0.5
"""Seconds that a read waits for entries; so long it may take to notice that we are asked to stop."""
TICK: Final = 0.1


class Tries:
    """Does an entry's work again where it fails, up to the number of attempts, then says why it is given up."""

    def __init__(self, stage: Stage, settings: RedisSettings) -> None:
        self._stage: Final = stage
        self._attempts: Final = settings.attempts

    def __call__(self, work: Callable[[], Any]) -> tuple[Any, str | None]:
        """The result and None, or None and the reason. What is no StageError is our fault, not the entry's."""
        reason = ""
        for attempt in range(self._attempts):
            if attempt:
                metrics.RETRIES.labels(self._stage).inc()
            try:
                return work(), None
            except StageError as error:
                reason = " ".join(str(error).split())[:500]
        return None, reason

    def worn_out(self, entry: Entry) -> str | None:
        """Why an entry should be given up before it is even looked at; None if it should not."""
        if entry.deliveries <= self._attempts:
            return None
        return f"given to {entry.deliveries - 1} workers, none of which finished it"


def work_in_threads(shell: Shell, consumers: Sequence[Consumer], loops: Sequence[Callable[[], None]]) -> None:
    """Runs loops, one for each consumer, until the shell is asked to stop; the first error stops all and is raised.

    The worker is alive for as long as each of them is.
    """
    errors: list[BaseException] = []

    def guarded(loop: Callable[[], None]) -> None:
        try:
            loop()
        except StoppedError as error:
            shell.say(str(error))
        except BaseException as error:  # noqa: BLE001  (whatever it was, the others must end too)
            errors.append(error)
            shell.stopping.set()

    threads = [
        threading.Thread(target=guarded, args=(loop,), name=f"{shell.name}-{number}", daemon=True)
        for number, loop in enumerate(loops)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        while thread.is_alive():
            thread.join(TICK)
            if all(time.monotonic() - consumer.seen < HUNG for consumer in consumers):
                shell.beat()
    if errors:
        raise errors[0]


@contextmanager
def linked(settings: RedisSettings, shell: Shell) -> Iterator[Link]:
    """Redis, reached, for as long as it is needed."""
    link = Link(settings, stopping=shell.stopping, say=shell.say, name=f"affectstream-{shell.name}")
    try:
        link.open(beat=shell.beat)
        yield link
    finally:
        link.close()
