"""What a data set holds, and what is wrong with it."""

from itertools import combinations

import msgspec
import numpy as np

from classifier.datasets.examples import SPLITS, UNSPLIT, Examples
from contracts.emotions import EMOTIONS


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """Counts of pictures. A duplicate has exactly the same pixels as another picture."""

    images: int
    classes: dict[str, dict[str, int]]  # split -> emotion -> pictures
    voted: int  # pictures with FER+ votes
    blank: dict[str, int]  # split -> pictures of one even colour
    copies: dict[str, int]  # split -> pictures beyond the first of each set of duplicates
    shared: dict[str, int]  # "public in train" -> pictures of public that stand in train too
    conflicts: dict[str, int]  # "train", "public in train" -> those with a duplicate of another label
    notes: tuple[str, ...]


def examine(examples: Examples) -> Report:
    """Reads every picture once. Raises InputError for one that is damaged."""
    digests, blank = examples.pictures.prints
    names = {
        name: number for name, number in {**SPLITS, "unsplit": UNSPLIT}.items() if (examples.split == number).any()
    }
    labels_of: dict[str, dict[bytes, set[int]]] = {}
    copies, conflicts, shared = {}, {}, {}
    for name, number in names.items():
        mine = np.flatnonzero(examples.split == number)
        labels = labels_of[name] = {}
        for place in mine:
            labels.setdefault(digests[place], set()).add(int(examples.labels[place]))
        copies[name] = len(mine) - len(labels)
        conflicts[name] = sum(len(labels[digests[place]]) > 1 for place in mine)
    for first, second in combinations(names, 2):
        mine = np.flatnonzero(examples.split == names[second])
        known = labels_of[first]
        twins = [place for place in mine if digests[place] in known]
        key = f"{second} in {first}"
        shared[key] = len(twins)
        conflicts[key] = sum(known[digests[place]] != {int(examples.labels[place])} for place in twins)
    return Report(
        images=len(examples),
        classes={
            name: {
                emotion: int(((examples.split == number) & (examples.labels == label)).sum())
                for label, emotion in enumerate(EMOTIONS)
            }
            for name, number in names.items()
        },
        voted=int(examples.votes.any(axis=1).sum()),
        blank={name: int((blank & (examples.split == number)).sum()) for name, number in names.items()},
        copies=copies,
        shared=shared,
        conflicts=conflicts,
        notes=examples.notes,
    )
