"""Waiting for a server that is away: says so once, tries again with growing pauses, and says when it is back."""

import threading
from collections.abc import Callable
from typing import Final, TypeVar

from contracts.errors import AffectstreamError

T = TypeVar("T")

FIRST_PAUSE: Final = 0.1
LONGEST_PAUSE: Final = 5.0


class GivenUpError(Exception):
    """We were asked to stop while we waited."""


class Patience:
    """Does a thing until it succeeds or the worker is to stop."""

    def __init__(
        self, stopping: threading.Event, say: Callable[[str], None], failed: Callable[[], None] = lambda: None
    ) -> None:
        """`failed` is called after each attempt that failed."""
        self._stopping: Final = stopping
        self._say: Final = say
        self._failed: Final = failed

    def until_done(self, work: Callable[[], T], *passing: type[AffectstreamError]) -> T:
        """The answer of `work`, as soon as it does not raise one of the errors that may pass by themselves.

        Raises GivenUpError where the worker is asked to stop before that.
        """
        pause, said = FIRST_PAUSE, ""
        while True:
            try:
                answer = work()
            except passing as error:
                if (line := str(error)) != said:
                    self._say(f"{line}; trying again until it works")
                    said = line
            else:
                if said:
                    self._say("going on")
                return answer
            self._failed()
            if self._stopping.wait(pause):
                raise GivenUpError
            pause = min(2 * pause, LONGEST_PAUSE)
