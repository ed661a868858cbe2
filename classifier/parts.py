"""Parts of the pictures, and teachers that have not learnt from theirs.

A teacher that has learnt a picture's label repeats it, chance and all; one that has not says what is likely for such a
face. So the pictures are divided into parts, each teacher leaves out one, and a student hears of each picture from the
teacher that had not seen it ("cross-fitting", as stacking does it: Wolpert, "Stacked Generalization", 1992).
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from classifier.datasets import I64, Examples
from classifier.recipe import part
from contracts.errors import InputError


def parts_of(examples: Examples, count: int) -> I64:
    """i64[N]: which of so many parts each picture belongs to, counted from 1; exact duplicates to the same.

    Decided by the pictures alone: whoever divides them, and in whatever order, comes to the same parts.
    """
    return np.array([int(print_[:12], 16) % count + 1 for print_ in examples.pictures.prints[0]], np.int64)


def by_teacher(examples: Examples, without: Sequence[str]) -> tuple[list[I64], list[int]]:
    """Places of the examples that each teacher is asked about, and the teachers in the order of those.

    `without` says what each of them has left out. Where none has left out anything, all of them are asked about all:
    there is one part. Raises InputError where some have, and are not as many as there are parts.
    """
    if not any(without):
        return [np.arange(len(examples))], list(range(len(without)))
    known = [part(text) if text else (0, 0) for text in without]
    count = max(of for _, of in known)
    if sorted(known) != [(which, count) for which in range(1, count + 1)]:
        raise InputError(
            f"the teachers have left out {', '.join(text or 'nothing' for text in without)}: "
            f"a teacher is needed for each of 1/{count} to {count}/{count}, and no other"
        )
    parts = parts_of(examples, count)
    return [np.flatnonzero(parts == which) for which in range(1, count + 1)], sorted(
        range(count), key=known.__getitem__
    )


def slices(size: int, count: int) -> list[slice]:
    """A batch of that size in so many slices, as equal as can be: one for each part, or for each teacher."""
    return [slice(*ends) for ends in pairwise(size * place // count for place in range(count + 1))]


def steps_of(parts: Sequence[I64], batch_size: int) -> int:
    """Batches that an epoch has, of which each part fills its slice."""
    cuts = zip(parts, slices(batch_size, len(parts)), strict=True)
    full: list[int] = [len(places) // max(cut.stop - cut.start, 1) for places, cut in cuts]
    return min(full)
