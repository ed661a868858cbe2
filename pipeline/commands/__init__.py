"""The commands, a file each. They import what they need when they run, so that `--help` is quick."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from contracts.settings import Settings


@dataclass(frozen=True)
class Context:
    """What was said before the command's name."""

    config: Path | None
    debug: bool

    def settings(self, flags: Mapping[str, Any]) -> "Settings":
        """The settings with a command's flags (dotted key -> value, None if not given) on top."""
        from contracts.loading import load_settings

        return load_settings(self.config, os.environ, flags)


def note(line: str) -> None:
    """Tells the user something worth knowing, on stderr."""
    print("affectstream:", line, file=sys.stderr)
