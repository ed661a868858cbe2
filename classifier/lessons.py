"""What a training learns from, what only watches it, and what it is tested on."""

from typing import Final, NamedTuple

import numpy as np

from classifier.datasets import Examples
from classifier.evaluation import VOTED
from classifier.parts import parts_of
from classifier.recipe import Recipe
from contracts.errors import InputError

DIVISION: Final = 1
"""Chance that decides which pictures are learnt from. Not the recipe's: a training that begins with another's weights
must hold out the same pictures, or it would be measured by some that the weights know."""


class Lessons(NamedTuple):
    """A data set, as a training uses it."""

    examples: Examples  # of the classes that are learnt, with a split to test on
    training: Examples
    held_out: Examples
    heads: dict[str, int]  # what is learnt -> number of classes


def lessons_of(examples: Examples, recipe: Recipe, name: str) -> Lessons:
    """Divides a data set, which is called `name`. Raises InputError where that leaves nothing to test on."""
    examples = examples.of_classes(recipe.classes).divided(DIVISION)
    if not len(examples.of("public")):
        raise InputError(f"{name} has no picture to test on: of three pictures of a class one is")
    training, held_out = shares(examples, recipe)
    heads = {examples.head: len(recipe.classes)}
    if recipe.votes and training.voted:
        heads[VOTED] = len(recipe.classes)
    return Lessons(examples, training, held_out, heads)


def shares(examples: Examples, recipe: Recipe) -> tuple[Examples, Examples]:
    """What a training of data that is `divided` learns from, and what only watches, whatever part is left out.

    What watches or tests has no exact duplicate among what is learnt from.
    """
    training = examples.of("train")
    training = training.where(~training.blank() & ~training.twins_in(examples.where(examples.split != 0)))
    if recipe.balanced:
        training = training.balanced(DIVISION)
    watching = np.random.default_rng(DIVISION).random(len(training)) < recipe.held_out
    learnt, held_out = training.where(~watching), training.where(watching)
    learnt = learnt.where(~learnt.twins_in(held_out))
    if recipe.without:
        which, count = recipe.without
        learnt = learnt.where(parts_of(learnt, count) != which)
    return learnt, held_out
