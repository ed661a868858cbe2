"""Training: a data set and a recipe in, a model folder out."""

import os
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import msgspec
import numpy as np

from classifier import evaluation
from classifier.architectures import architecture
from classifier.augmentation import batches
from classifier.card import WEIGHTS_FILE, Head, ModelCard, Training, file_sha256, write_card
from classifier.datasets import Examples
from classifier.exporting import save_small
from contracts.emotions import EMOTIONS
from contracts.errors import InputError
from contracts.stages import CropSpec

HEADS = {
    "fer2013": "FER2013's labels: one answer per picture, the protocol of the literature",
    "ferplus": "the distribution of FER+'s ten votes per picture over the seven emotions",
}
LIMITS = [
    "Trained on 48x48 grey photographs found on the web, mostly posed and frontal, without a record of who is shown: "
    "expect it to be worse on faces that such collections show rarely, in the dark, in profile, and below 24 pixels.",
    "People do not agree on these pictures either: the majority of ten people gives FER2013's label on 65 % of them.",
    "A facial expression is not a feeling, and nothing here diagnoses anything.",
]


class Recipe(msgspec.Struct, frozen=True, kw_only=True):
    """How a network is trained: SGD with Nesterov momentum, warm-up and cosine decay, averaged weights."""

    architecture: str = "fern"
    epochs: int = 60
    batch_size: int = 128
    rate: float = 0.1
    warmup_epochs: float = 3.0
    weight_decay: float = 5e-4
    average: float = 0.999  # momentum of the weights' moving average
    mixup: float = 0.2
    plus_weight: float = 1.0  # of the ferplus head's loss beside the fer2013 head's
    held_out: float = 0.03  # share of the training split that only watches
    seed: int = 1


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """Where a training is, after each epoch."""

    epoch: int
    epochs: int
    loss: float
    accuracy: float
    accuracy_plus: float
    seconds: float


def train(
    examples: Examples, recipe: Recipe, folder: Path, *, crop: CropSpec, data: str, command: str,
    report: Callable[[Progress], None],
) -> ModelCard:  # fmt: skip
    """Trains on the training split without blanks and without twins of the PublicTest images; writes the model folder.

    PublicTest is looked at once, at the end: for the temperature of each head and for the accuracy on the card.
    """
    public = examples.of("public")
    training = examples.of("train")
    training = training.where(~training.blank() & ~training.twins_in(public))
    if len(training) < recipe.batch_size:
        raise InputError(f"{data} has {len(training)} usable training images, fewer than one batch")
    keras.utils.set_random_seed(recipe.seed)
    watching = np.random.default_rng(recipe.seed).random(len(training)) < recipe.held_out
    held_out, training = training.where(watching), training.where(~watching)
    folder.mkdir(parents=True, exist_ok=True)

    model = architecture(recipe.architecture)(dict.fromkeys(HEADS, len(EMOTIONS)))
    steps = len(training) // recipe.batch_size
    model.compile(
        optimizer=_optimizer(model, recipe, steps),
        loss={head: keras.losses.CategoricalCrossentropy(from_logits=True) for head in HEADS},
        loss_weights={"fer2013": 1.0, "ferplus": recipe.plus_weight},
    )
    started = time.monotonic()

    def after_epoch(epoch: int, logs: dict[str, float]) -> None:
        logits = evaluation.logits(model, held_out.images)
        report(
            Progress(
                epoch=epoch + 1, epochs=recipe.epochs, loss=float(logs["loss"]),
                accuracy=evaluation.accuracy(logits["fer2013"], held_out.labels),
                accuracy_plus=evaluation.accuracy_plus(logits["ferplus"], held_out.votes),
                seconds=time.monotonic() - started,
            )
        )  # fmt: skip
        model.save(folder / "latest.keras")

    model.fit(
        batches(training, batch_size=recipe.batch_size, seed=recipe.seed, mixup=recipe.mixup),
        epochs=recipe.epochs, steps_per_epoch=steps, verbose=0,
        callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=after_epoch)],
    )  # fmt: skip
    model.optimizer.finalize_variable_values(model.trainable_variables)
    (folder / "latest.keras").unlink(missing_ok=True)
    made = Training(
        command=command, data=data, images=len(training), epochs=recipe.epochs,
        seconds=round(time.monotonic() - started, 1), device=f"{platform.machine()} CPU, {os.cpu_count()} cores",
    )  # fmt: skip
    return finish(model, public, folder, architecture=recipe.architecture, crop=crop, training=made)


def finish(
    model: Any, public: Examples, folder: Path, *, architecture: str, crop: CropSpec, training: Training
) -> ModelCard:
    """Measures and calibrates a trained model on PublicTest and writes its folder."""
    inference = keras.Model(model.input, model.output, name=model.name)  # without the optimizer's state
    save_small(inference, folder / WEIGHTS_FILE)
    logits = evaluation.logits(inference, public.images)
    target = {"fer2013": np.eye(len(EMOTIONS), dtype=np.float32)[public.labels], "ferplus": public.votes}
    card = ModelCard(
        name=folder.name,
        architecture=architecture,
        parameters=int(model.count_params()),
        heads={
            head: Head(
                meaning=meaning,
                classes=EMOTIONS,
                temperature=round(evaluation.temperature(logits[head], target[head]), 4),
            )
            for head, meaning in HEADS.items()
        },
        default_head="ferplus",
        crop=crop,
        preprocessing="grey, 0 to 255, as uint8; the network standardises each picture itself",
        training=training,
        accuracy={
            "fer2013": round(evaluation.accuracy(logits["fer2013"], public.labels), 4),
            "ferplus": round(evaluation.accuracy_plus(logits["ferplus"], public.votes), 4),
        },
        accuracy_note="FER2013 PublicTest, no test-time augmentation; looked at once, after training. ferplus: against "
        "the majority of FER+'s votes for the seven, where there is a single one.",
        limits=LIMITS,
        licence="Apache-2.0 (the weights; the photographs they were trained on have no stated licence)",
        sha256=file_sha256(folder / WEIGHTS_FILE),
    )
    write_card(folder, card)
    return card


def _optimizer(model: Any, recipe: Recipe, steps: int) -> Any:
    warmup = round(min(recipe.warmup_epochs, recipe.epochs / 2) * steps)
    schedule = keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=recipe.rate / 100, decay_steps=recipe.epochs * steps - warmup,
        warmup_target=recipe.rate, warmup_steps=warmup,
    )  # fmt: skip
    optimizer = keras.optimizers.SGD(
        schedule, momentum=0.9, nesterov=True, weight_decay=recipe.weight_decay,
        use_ema=True, ema_momentum=recipe.average, ema_overwrite_frequency=None,
    )  # fmt: skip
    # Decay is for the convolutions: scales and offsets of a normalised layer have nothing to gain from being small.
    optimizer.exclude_from_weight_decay(var_list=[v for v in model.trainable_variables if len(v.shape) < 2])
    return optimizer
