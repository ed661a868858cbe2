"""The noun that reading, training and measuring share: pictures with their labels."""

from typing import Final

import msgspec
import numpy as np

from classifier.datasets.pictures import I64, Mask, Pictures
from contracts.emotions import EMOTIONS
from contracts.errors import InputError
from contracts.messages import F32
from contracts.stages import CropSpec

SPLITS: Final = {"train": 0, "public": 1, "private": 2}
UNSPLIT: Final = 3  # the data set does not say

FRAMING: Final = CropSpec(height=48, width=48, channels=1, scale=1.13, shift_y=-0.01, upright=10.0)
"""How FER2013 is cut, relative to YuNet's face boxes: the medians that benchmarks/framing.py measures."""


class Examples(msgspec.Struct, frozen=True, kw_only=True):
    """N labelled faces."""

    pictures: Pictures
    labels: I64  # [N], indices into EMOTIONS
    votes: F32  # [N, 7] FER+ votes for the seven as shares; all 0 where nobody voted for one of them
    split: I64  # [N], values of SPLITS, or UNSPLIT
    groups: I64 | None = None  # [N]: pictures of one group show one person, and must not be torn apart by a division
    head: str = "labels"  # what an answer learnt from these labels is called on a model's card
    notes: tuple[str, ...] = ()  # what the reader left out, in a line each

    def __len__(self) -> int:
        return len(self.labels)

    def where(self, which: Mask | I64) -> "Examples":
        """The examples at these places."""
        return msgspec.structs.replace(
            self, pictures=self.pictures.take(which), labels=self.labels[which], votes=self.votes[which],
            split=self.split[which], groups=None if self.groups is None else self.groups[which],
        )  # fmt: skip

    def of(self, split: str) -> "Examples":
        """The examples of one split, by name; `all` for all."""
        if split not in {*SPLITS, "all"}:
            raise InputError(f"no split {split!r}: there are {', '.join(SPLITS)} and all")
        return self if split == "all" else self.where(self.split == SPLITS[split])

    def of_classes(self, classes: tuple[str, ...]) -> "Examples":
        """The examples whose label is one of these emotions."""
        return self.where(np.isin(self.labels, [EMOTIONS.index(name) for name in classes]))

    def twins_in(self, other: "Examples") -> Mask:
        """bool[N]: which of these have an exact duplicate among the others."""
        return np.isin(self.pictures.prints[0], other.pictures.prints[0])

    def blank(self) -> Mask:
        """bool[N]: which pictures are one even colour."""
        return self.pictures.prints[1]

    @property
    def voted(self) -> bool:
        """Whether anybody voted on any of them."""
        return bool(self.votes.any())

    def divided(self, seed: int) -> "Examples":
        """The same with splits in the ratio 8:1:1, class by class, where the data set brings nothing to test on.

        Private pictures stay so: beside them only a public split is made, of a tenth of the others. Exact duplicates,
        and pictures of one person where that is known, stay together.
        """
        if (self.split == SPLITS["public"]).any():
            return self
        groups = self.groups if self.groups is not None else np.unique(self.pictures.prints[0], return_inverse=True)[1]
        random = np.random.default_rng(seed)
        private = self.split == SPLITS["private"]
        split = np.where(private, SPLITS["private"], SPLITS["train"])
        first = dict(zip(groups[~private][::-1].tolist(), self.labels[~private][::-1].tolist(), strict=True))
        for label in range(len(EMOTIONS)):
            members = np.array(sorted(group for group, its in first.items() if its == label), np.int64)
            random.shuffle(members)
            tenth = max(round(len(members) / 10), 1) if len(members) > 2 else 0
            split[~private & np.isin(groups, members[:tenth])] = SPLITS["public"]
            if not private.any():
                split[np.isin(groups, members[tenth : 2 * tenth])] = SPLITS["private"]
        return msgspec.structs.replace(self, split=split)

    def balanced(self, seed: int) -> "Examples":
        """As many examples of each class as the rarest class has, chosen at random."""
        present = np.unique(self.labels)
        fewest = min(int((self.labels == label).sum()) for label in present) if len(present) else 0
        random = np.random.default_rng(seed)
        chosen = [random.choice(np.flatnonzero(self.labels == label), fewest, replace=False) for label in present]
        return self.where(np.sort(np.concatenate(chosen))) if chosen else self
