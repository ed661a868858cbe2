"""Learning on a GPU, where each epoch is one program.

A step of a small network takes a GPU less time than a processor needs to start it. So the steps of an epoch, and all
that is done to their pictures, are compiled together, and started once. What is learnt is what `fit` learns, step by
step; it is for JAX alone. (A CPU takes far longer for such a program than for its steps: XLA uses one core inside it.)
"""

from collections.abc import Callable
from importlib import import_module
from typing import Any

import keras

from classifier.batches import Resident
from classifier.device import gpu


def in_one_program() -> bool:
    """Whether an epoch is to be learnt so, here."""
    return keras.backend.backend() == "jax" and gpu() is not None


def learn(
    trainee: Any, pictures: Resident, *, first: int, last: int, ended: Callable[[int, dict[str, float]], None]
) -> None:
    """Trains a compiled Keras model in the epochs from `first` up to `last`, or until it says `stop_training`.

    `ended` is told each epoch's number, counted from 0, and its figures, as `fit` would tell them.
    """
    jax: Any = import_module("jax")
    trainee.test_on_batch(*next(iter(pictures.batches(first, last))))  # so that the variables of its metrics are there
    kinds = (
        trainee.trainable_variables, trainee.non_trainable_variables, trainee.optimizer.variables,
        trainee.metrics_variables,
    )  # fmt: skip
    program = jax.jit(lambda state, held, epoch: _epoch(trainee, pictures, state, held, epoch))
    trainee.stop_training = False
    for epoch in range(first, last):
        trainee.reset_metrics()
        state = program(tuple([variable.value for variable in kind] for kind in kinds), pictures.held, epoch)
        for kind, values in zip(kinds, state, strict=True):
            for variable, value in zip(kind, values, strict=True):
                variable.assign(value)
        ended(epoch, {name: float(figure) for name, figure in trainee.get_metrics_result().items()})
        if trainee.stop_training:
            break


def _epoch(trainee: Any, pictures: Resident, state: Any, held: Any, epoch: Any) -> Any:
    """All variables' values, as Keras passes them through a step on JAX, after an epoch."""
    making = pictures.making
    places = making.order(epoch)

    def step(state: Any, at: Any) -> tuple[Any, None]:
        _, state = trainee.train_step(state, pictures.batch(held, places[at], epoch * making.steps + at))
        return tuple(list(values) for values in state), None

    jax: Any = import_module("jax")
    return jax.lax.scan(step, state, jax.numpy.arange(making.steps))[0]
