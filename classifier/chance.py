"""Chance that can be repeated, on whatever Keras runs on: what is drawn is a function of seeds and of nothing else."""

from importlib import import_module
from typing import Any, Protocol

import keras


class Chance(Protocol):
    """Draws, one after the other; all of them are decided by the seeds that it was made of."""

    def uniform(self, shape: tuple[int, ...], low: float, high: float) -> Any:
        """f32[shape] between low and high."""
        ...

    def normal(self, shape: tuple[int, ...]) -> Any:
        """f32[shape] of mean 0 and deviation 1."""
        ...

    def gamma(self, shape: tuple[int, ...], alpha: float) -> Any:
        """f32[shape] of the gamma distribution of scale 1."""
        ...

    def order(self, count: int) -> Any:
        """i[count]: the numbers below the count, shuffled."""
        ...


def chance(seed: int, place: Any) -> Chance:
    """The draws of one place (a whole number, or a tensor of one) of everything that a seed decides."""
    return _JaxChance(seed, place) if keras.backend.backend() == "jax" else _TensorFlowChance(seed, place)


class _TensorFlowChance:
    def __init__(self, seed: int, place: Any) -> None:
        self._tf: Any = import_module("tensorflow")
        self._seed = self._tf.stack([self._tf.constant(seed, "int64"), self._tf.cast(place, "int64")])
        self._drawn = 0

    def uniform(self, shape: tuple[int, ...], low: float, high: float) -> Any:
        return self._tf.random.stateless_uniform(shape, self._next(), low, high)

    def normal(self, shape: tuple[int, ...]) -> Any:
        return self._tf.random.stateless_normal(shape, self._next())

    def gamma(self, shape: tuple[int, ...], alpha: float) -> Any:
        return self._tf.random.stateless_gamma(shape, self._next(), alpha)

    def order(self, count: int) -> Any:
        return self._tf.random.experimental.stateless_shuffle(self._tf.range(count), self._next())

    def _next(self) -> Any:
        self._drawn += 1
        return self._tf.random.fold_in(self._seed, self._drawn)


class _JaxChance:
    def __init__(self, seed: int, place: Any) -> None:
        self._random: Any = import_module("jax").random
        self._seed = self._random.fold_in(self._random.key(seed), place)
        self._drawn = 0

    def uniform(self, shape: tuple[int, ...], low: float, high: float) -> Any:
        return self._random.uniform(self._next(), shape, minval=low, maxval=high)

    def normal(self, shape: tuple[int, ...]) -> Any:
        return self._random.normal(self._next(), shape)

    def gamma(self, shape: tuple[int, ...], alpha: float) -> Any:
        return self._random.gamma(self._next(), alpha, shape)

    def order(self, count: int) -> Any:
        return self._random.permutation(self._next(), count)

    def _next(self) -> Any:
        self._drawn += 1
        return self._random.fold_in(self._seed, self._drawn)
