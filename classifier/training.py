"""Training: a data set and a recipe in, a model folder out."""

import math
import os
import platform
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Any, Final

import keras
import msgspec
import numpy as np

from classifier import evaluation, finishing, metrics
from classifier.architectures import architecture
from classifier.architectures.transfer import freeze
from classifier.batches import Resident, batches
from classifier.card import CARD_FILE, WEIGHTS_FILE, Training, read_card
from classifier.checkpoints import Checkpoints, Run, State, write_run
from classifier.copies import in_precision
from classifier.datasets import I64, Examples
from classifier.device import gpu, precision
from classifier.distillation import Student, answering, counterparts, read_teacher
from classifier.epochs import in_one_program, learn
from classifier.evaluation import VOTED
from classifier.folders import make_folder
from classifier.fused import fused
from classifier.learnt import contents, write_learnt
from classifier.lessons import lessons_of
from classifier.mirrored import mirror, settle
from classifier.parts import by_teacher, steps_of
from classifier.recipe import Phase, Recipe
from classifier.sharpness import SharpnessAware
from contracts.emotions import EMOTIONS
from contracts.errors import InputError

STATISTICS: Final = 100
"""Batches that averaged weights take their statistics from."""
KEPT_EVERY: Final = 20.0
"""Seconds: where epochs are shorter, not each of them is written down. It would take longer than they do."""
OPTIMIZERS: Final = {"sgd": keras.optimizers.SGD, "adam": keras.optimizers.Adam, "nadam": keras.optimizers.Nadam}


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """Where a training is: told after each step, and with a row of figures after each epoch."""

    epoch: int  # counted from 1
    epochs: int
    step: int  # done, over all epochs
    steps: int
    row: dict[str, float] | None = None


Report = Callable[[Progress], None]


def train(
    examples: Examples, run: Run, folder: Path, report: Report, *, resume: bool = False, end: bool = False
) -> finishing.Finished:
    """Trains on the training split without blanks and without twins of the test pictures; writes the model folder.

    PublicTest (or what stands for it: `Examples.divided`) is looked at once, at the end, for the accuracy on the card.
    With `resume` a training that was stopped goes on from the last whole epoch that was kept, to the weights that it
    would have had. Each epoch is, or one in `KEPT_EVERY` seconds.
    With `end` as well, it learns no more: the model is what its recipe makes of the epochs that it has had.
    """
    recipe, checkpoints = run.recipe, Checkpoints(folder)
    _check(folder, checkpoints, resume)
    digest = contents(examples)
    if resume and run.contents not in ("", digest):
        raise InputError(f"{run.data} has other pictures or labels than this training began with")
    data = Path(run.data).name
    lessons = lessons_of(examples, recipe, data)
    training, held_out, heads = lessons.training, lessons.held_out, lessons.heads
    said = [read_card(Path(name)) for name in run.teachers]
    parts, order = by_teacher(training, [card.training.without for card in said])
    if not steps_of(parts, recipe.batch_size):
        raise InputError(f"{data} has {len(training)} usable training images, fewer than one batch")
    if len(run.teachers) > recipe.batch_size:
        raise InputError(f"{len(run.teachers)} teachers cannot share batches of {recipe.batch_size} pictures")
    make_folder(folder)
    keras.utils.set_random_seed(recipe.seed)
    state = checkpoints.state() if resume else State()
    network, begun = _network(run, heads, checkpoints.network(state.epoch) if resume else None)
    size = network.input_shape[1:3]
    teachers = [read_teacher(Path(run.teachers[at]), heads, recipe.classes, size) for at in order]
    teachers = [in_precision(fused(teacher), precision()) for teacher in teachers]
    if not resume:
        made_with = {package: version(package) for package in ("keras", keras.backend.backend())}
        write_run(folder, msgspec.structs.replace(run, made_with=made_with, contents=digest))
    # What the first weights knew is read while they are there; a training that goes on has that in its own list.
    write_learnt(folder, training, folder if resume else Path(run.start) if run.start else None)

    course = _Course(network, recipe, teachers, training, parts, held_out, heads, checkpoints, state, report, folder)
    state.stopped |= end
    for number in range(state.phase, state.phase + 1 if end else len(recipe.phases)):
        course.follow(number)
    network = course.network
    if begun:  # what the weights knew is kept, and what was learnt as well (Wortsman et al., 2022)
        pairs = zip(begun, network.get_weights(), strict=True)
        network.set_weights([recipe.blend * old + (1 - recipe.blend) * new for old, new in pairs])
    if recipe.mirrored:
        settle(network)  # the averaged weights, and statistics
    device = gpu() or f"{platform.machine()} CPU, {os.cpu_count()} cores"
    command = run.command + (f", ended after {state.epoch} epochs" if end else "")
    made = Training(
        command=command, data=data, images=len(training), epochs=state.epoch, seconds=round(state.seconds, 1),
        device=device, without="/".join(map(str, recipe.without or ())),
    )  # fmt: skip
    finished = finishing.finish(network, lessons.examples, held_out, folder, recipe, made, state.history)
    checkpoints.remove()
    return finished


def _network(run: Run, heads: Mapping[str, int], kept: Any | None) -> tuple[Any, list[Any]]:
    """The network as it is to learn, new or as it was `kept`; and the weights that it began with, where they count."""
    recipe = run.recipe
    options = {**recipe.options, **({"pretrained": True} if recipe.pretrained else {})}
    if kept is not None:
        network = kept
    else:
        with _layers_in(precision()):
            network = fused(architecture(recipe.architecture).build(heads, **options))
    begun = _begun(Path(run.start), network, recipe) if run.start and (recipe.blend or kept is None) else []
    if begun and kept is None:
        network.set_weights(begun)
    if recipe.mirrored:
        mirror(network)
        if kept is None:
            settle(network)
    return network, begun


@contextmanager
def _layers_in(policy: str) -> Iterator[None]:
    """Layers that are made meanwhile compute like that, for ever; others are left alone."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def _check(folder: Path, checkpoints: Checkpoints, resume: bool) -> None:
    finished = (folder / CARD_FILE).exists()
    if resume and not checkpoints:
        raise InputError(f"{folder} holds nothing to go on with" + (": its training is finished" if finished else ""))
    if not resume and checkpoints:
        raise InputError(f"{folder} holds an unfinished training: go on with --resume {folder}, or name another folder")
    if not resume and finished:
        raise InputError(f"{folder} holds a finished model: name another folder")


def _begun(folder: Path, network: Any, recipe: Recipe) -> list[Any]:
    """The weights of a model of the same kind as the network. Raises InputError for one that is not."""
    card = read_card(folder)
    if card.architecture != recipe.architecture:
        raise InputError(f"the model {card.name} is a {card.architecture}, to be trained is a {recipe.architecture}")
    same = counterparts(card, network.output)
    if set(same) != set(network.output) or any(card.heads[head].classes != recipe.classes for head in same.values()):
        raise InputError(f"the model {card.name} answers other things ({', '.join(card.heads)}) than are to be learnt")
    model = keras.models.load_model(folder / WEIGHTS_FILE, compile=False)
    weights = list(answering(model, same).get_weights())
    if [w.shape for w in weights] != [w.shape for w in network.weights]:
        raise InputError(f"the model {card.name} is a {card.architecture} of other layers than are built now")
    return weights


class _Course(keras.callbacks.Callback):  # type: ignore[misc]  # Keras has no types
    """One training on its way through the phases of its recipe, epoch by epoch."""

    def __init__(
        self, network: Any, recipe: Recipe, teachers: list[Any], training: Examples, parts: list[I64],
        held_out: Examples, heads: dict[str, int], checkpoints: Checkpoints, state: State, report: Report, folder: Path,
    ) -> None:  # fmt: skip
        super().__init__()
        self.network = network
        self._recipe, self._training, self._held_out, self._heads = recipe, training, held_out, heads
        self._checkpoints, self._state, self._report, self._folder = checkpoints, state, report, folder
        self._trainee = network
        if teachers and recipe.distillation:
            self._trainee = Student(
                network, teachers, recipe.distillation, weights_of(heads, recipe), radius=recipe.radius
            )
        elif recipe.radius:
            self._trainee = SharpnessAware(network, recipe.radius)
        self._shape: dict[str, Any] = {
            "size": network.input_shape[1:3], "channels": network.input_shape[-1], "parts": parts
        }  # fmt: skip
        self._steps = steps_of(parts, recipe.batch_size)
        self._columns = [EMOTIONS.index(name) for name in recipe.classes]
        self._restore = state.epoch > 0
        self._kept = time.monotonic()

    def follow(self, number: int) -> None:
        """One phase, or the rest of it; at its end the network is what the phase makes of it."""
        state, phase = self._state, self._recipe.phases[number]
        if not self._restore:
            state.phase, state.phase_began, state.stopped = number, state.epoch, False
            state.best, state.best_epoch, state.reduced_epoch = -1.0, state.epoch, state.epoch
        freeze(self.network, phase.frozen, pretrained=self._recipe.pretrained)
        optimizer = compiled(self._trainee, phase, self._recipe, self._heads, steps=self._steps).optimizer
        optimizer.build(self._trainee.trainable_variables)
        if self._restore:
            self._checkpoints.restore(state, self.network, optimizer)
            self._restore = False
        last = state.phase_began + phase.epochs
        if state.epoch < last and not state.stopped:
            self._began = time.monotonic() - state.seconds
            self._learn(state.epoch, last)
        if self._recipe.watching.keep_best:
            self.network.set_weights(self._checkpoints.network(state.best_epoch).get_weights())
        elif phase.averaged:
            optimizer.finalize_variable_values(self._trainee.trainable_variables)
            # Of pictures distorted as they were at the end: of others, the weights are not used to the statistics.
            settle_statistics(self.network, islice(self._batches(state.epoch, state.epoch + 1), STATISTICS))

    def _learn(self, first: int, last: int) -> None:
        if in_one_program():
            pictures = Resident(self._training, self._recipe, self._heads, **self._shape)
            learn(self._trainee, pictures, first=first, last=last, ended=self.on_epoch_end)
            return
        try:
            self._trainee.fit(
                self._batches(first, last), initial_epoch=first, epochs=last, steps_per_epoch=self._steps, verbose=0,
                shuffle=False, callbacks=[self],
            )  # fmt: skip
        except Exception as error:
            if lost := re.search(r"\bInputError: (.+)", str(error)):  # as TensorFlow tells of a picture that is gone
                raise InputError(lost[1]) from error
            raise

    def _batches(self, first: int, last: int) -> Any:
        return batches(self._training, self._recipe, self._heads, first=first, last=last, **self._shape)

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        self._tell(self._state.epoch * self._steps + batch + 1)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        state, watching = self._state, self._recipe.watching
        if keras.backend.backend() == "jax":  # where what is learnt lies elsewhere meanwhile
            self._trainee.jax_state_sync()
        if not math.isfinite(loss := (logs or {})["loss"]):
            kept = f"; what was learnt before is kept: --finish {self._folder}" if self._checkpoints else ""
            said = f"the loss of epoch {epoch + 1} is {loss}: the steps are too large"
            raise InputError(f"{said}. Train again with a lower --rate{kept}")
        state.epoch = epoch + 1
        state.seconds = time.monotonic() - self._began
        row = self._figures(logs or {})
        state.history.append(row)
        held_out = row.get("held_out_accuracy", state.best + 1)  # without held-out pictures the last epoch is the best
        if held_out > state.best:
            state.best, state.best_epoch, state.reduced_epoch = held_out, state.epoch, state.epoch
        constant = self._recipe.phases[state.phase].schedule == "constant"
        if constant and watching.reduce_after and state.epoch - state.reduced_epoch >= watching.reduce_after:
            optimizer = self._trainee.optimizer
            optimizer.learning_rate = float(np.asarray(optimizer.learning_rate)) * watching.factor
            state.reduced_epoch = state.epoch
        if watching.stop_after and state.epoch - state.best_epoch >= watching.stop_after:
            state.stopped = self._trainee.stop_training = True
        last = state.stopped or state.epoch == state.phase_began + self._recipe.phases[state.phase].epochs
        best = watching.keep_best and state.best_epoch == state.epoch
        if last or best or time.monotonic() - self._kept >= KEPT_EVERY:
            self._checkpoints.save(state, self.network, self._trainee.optimizer)
            self._kept = time.monotonic()
        finishing.write_history(self._folder, state.history)
        self._tell(state.epoch * self._steps, row)

    def _figures(self, logs: dict[str, float]) -> dict[str, float]:
        """A row of the history. The held-out loss is the cross entropy of the labels."""
        head = next(iter(self._heads))
        answers = evaluation.logits(self.network, self._held_out.pictures) if len(self._held_out) else {}
        truth = np.searchsorted(self._columns, self._held_out.labels)
        hot = np.eye(len(self._columns), dtype=np.float32)[truth]
        row = {
            "epoch": self._state.epoch, "phase": self._state.phase + 1,
            "rate": float(np.asarray(self._trainee.optimizer.learning_rate)), "loss": float(logs["loss"]),
            "accuracy": float(logs.get(f"{head}_accuracy", logs.get("accuracy", float("nan")))),
        }  # fmt: skip
        if answers:
            row["held_out_loss"] = metrics.cross_entropy(answers[head], hot)
            row["held_out_accuracy"] = metrics.accuracy(answers[head], truth)
        plus = (
            metrics.accuracy_plus(answers[VOTED], self._held_out.votes[:, self._columns]) if VOTED in answers else None
        )
        if plus is not None:
            row["held_out_accuracy_plus"] = plus
        return row | {"seconds": round(self._state.seconds, 1)}

    def _tell(self, step: int, row: dict[str, float] | None = None) -> None:
        epochs = self._recipe.epochs
        epoch = min((step - 1) // self._steps + 1, epochs)
        self._report(Progress(epoch=epoch, epochs=epochs, step=step, steps=epochs * self._steps, row=row))


def settle_statistics(network: Any, data: Iterable[Any]) -> None:
    """Gives averaged weights the statistics of what they make of the pictures: their mean over these batches.

    Those that were gathered on the way are of other weights (Izmailov et al., 2018).
    """
    normalising = [layer for layer in _layers(network) if isinstance(layer, keras.layers.BatchNormalization)]
    statistics = [variable for layer in normalising for variable in (layer.moving_mean, layer.moving_variance)]
    momenta = [layer.momentum for layer in normalising]
    for layer in normalising:
        layer.momentum = 0.0  # then they are those of the batch alone
    look = _looking(network)
    means = [np.zeros(variable.shape, np.float32) for variable in statistics]
    for count, (pictures, *_) in enumerate(data):
        look(pictures)
        means = [mean + (np.asarray(now) - mean) / (count + 1) for mean, now in zip(means, statistics, strict=True)]
    for mean, variable in zip(means, statistics, strict=True):
        variable.assign(mean)
    for layer, momentum in zip(normalising, momenta, strict=True):
        layer.momentum = momentum


def _looking(network: Any) -> Callable[[Any], None]:
    """Shows pictures to a network as if it learnt from them; nothing changes but statistics, and chance."""

    def look(pictures: Any) -> None:
        network(pictures, training=True)

    def changes(learnt: Any, rest: Any, pictures: Any) -> Any:
        return network.stateless_call(learnt, rest, pictures, training=True)[1]

    def look_on_jax(pictures: Any) -> None:  # compiled: layer by layer it would take minutes on a GPU
        kinds = (network.trainable_variables, network.non_trainable_variables)
        learnt, rest = ([variable.value for variable in kind] for kind in kinds)
        for variable, value in zip(network.non_trainable_variables, changed(learnt, rest, pictures), strict=True):
            variable.assign(value)

    if keras.backend.backend() != "jax":
        return look
    changed = import_module("jax").jit(changes)
    return look_on_jax


def _layers(model: Any) -> Iterator[Any]:
    """Of the model, and of the models in it."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _layers(layer)
        else:
            yield layer


def weights_of(heads: Iterable[str], recipe: Recipe) -> dict[str, float]:
    """What each head weighs in the loss."""
    return {head: recipe.votes if head == VOTED else 1.0 for head in heads}


def compiled(model: Any, phase: Phase, recipe: Recipe, heads: dict[str, int], *, steps: int) -> Any:
    """The network, ready to learn as this phase of the recipe wants it, so many steps in an epoch."""
    model.compile(
        optimizer=_optimizer(model, phase, recipe, steps),
        loss={head: keras.losses.CategoricalCrossentropy(from_logits=True) for head in heads},
        loss_weights=weights_of(heads, recipe),
        metrics={head: [keras.metrics.CategoricalAccuracy(name="accuracy")] for head in heads},
    )
    return model


def _optimizer(model: Any, phase: Phase, recipe: Recipe, steps: int) -> Any:
    rate: Any = phase.rate
    if phase.schedule == "cosine":
        warmup = round(min(phase.warmup_epochs, phase.epochs / 2) * steps)
        rate = keras.optimizers.schedules.CosineDecay(
            initial_learning_rate=phase.rate / 100, decay_steps=phase.epochs * steps - warmup,
            warmup_target=phase.rate, warmup_steps=warmup,
        )  # fmt: skip
    averaged = phase.averaged * phase.epochs * steps  # as many steps, or the average of a short training would lag
    optimizer = OPTIMIZERS[phase.optimizer](
        rate, weight_decay=phase.weight_decay or None, use_ema=averaged > 0,
        ema_momentum=1 - 1 / max(averaged, 1), ema_overwrite_frequency=None,
        **({"momentum": 0.9, "nesterov": True} if phase.optimizer == "sgd" else {}),
    )  # fmt: skip
    # Decay is for the convolutions: scales and offsets of a normalised layer have nothing to gain from being small.
    optimizer.exclude_from_weight_decay(var_list=[v for v in model.trainable_variables if len(v.shape) < 2])
    return optimizer
