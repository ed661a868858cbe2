"""Networks by name. A new one is one new file with `INPUT`, `build` and `PRESETS`, and one line here."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any, Final, Protocol, cast

from classifier.recipe import Recipe
from contracts.errors import InputError

ARCHITECTURES: Final = {
    "fern": "classifier.architectures.fern",
    "fern_teacher": "classifier.architectures.fern_teacher",
    "cnn4": "classifier.architectures.cnn4",
    "cnn2": "classifier.architectures.cnn2",
    "dcnn": "classifier.architectures.dcnn",
    "mini_xception": "classifier.architectures.mini_xception",
    "vgg16": "classifier.architectures.vgg16",
    "resnet50": "classifier.architectures.resnet50",
    "efficientnetb1": "classifier.architectures.efficientnetb1",
}


class Architecture(Protocol):
    """A module of this folder."""

    INPUT: tuple[int, int]
    """height and width of the crops"""
    PRESETS: Mapping[str, Recipe]
    """its recipes by name: `ours`, and the paper's as `paper`"""

    def build(self, heads: Mapping[str, int], **options: Any) -> Any:
        """heads (name -> number of classes) -> keras.Model: crops [N, H, W, C] -> {head: logits f32[N, classes]}.

        All take `channels` (1, or 3 for BGR; 1 by default); those with a base that others have trained take
        `pretrained`, which gives it ImageNet's weights or raises InputError.
        """
        ...


def architecture(name: str) -> Architecture:
    """The network of this name. Raises InputError where there is none."""
    if name not in ARCHITECTURES:
        raise InputError(f"no architecture {name!r}: there are {', '.join(ARCHITECTURES)}")
    return cast(Architecture, import_module(ARCHITECTURES[name]))


def preset(name: str, which: str) -> Recipe:
    """A recipe of the network. Raises InputError where there is none of this name."""
    known = architecture(name).PRESETS
    if which not in known:
        raise InputError(f"{name} has no preset {which!r}: it has {', '.join(known)}")
    return known[which]
