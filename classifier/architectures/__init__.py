"""Networks by name. A new one is one new file with a `build` function and one line here."""

from collections.abc import Callable
from importlib import import_module
from typing import Any, Final, TypeAlias

from contracts.errors import InputError

Build: TypeAlias = Callable[[dict[str, int]], Any]
"""heads (name -> number of classes) -> keras.Model: u8 crops [N, H, W, C] -> {head: logits f32[N, classes]}"""

ARCHITECTURES: Final = {
    "fern": "classifier.architectures.fern",
}


def architecture(name: str) -> Build:
    """The function that builds the network of this name."""
    if name not in ARCHITECTURES:
        raise InputError(f"no architecture {name!r}: there are {', '.join(ARCHITECTURES)}")
    build: Build = import_module(ARCHITECTURES[name]).build
    return build
