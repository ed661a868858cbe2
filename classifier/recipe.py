"""How a network is trained, as plain values: what a preset is made of, and what a run writes down about itself."""

import math
import re
from typing import Literal

import msgspec

from contracts.emotions import EMOTIONS
from contracts.errors import InputError


class Phase(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A stretch of epochs under one optimizer, which starts afresh."""

    epochs: int
    optimizer: Literal["sgd", "adam", "nadam"] = "adam"
    rate: float = 1e-3
    schedule: Literal["constant", "cosine"] = "constant"
    warmup_epochs: float = 0.0  # of the cosine
    weight_decay: float = 0.0
    averaged: float = 0.0  # share of its steps over which weights are averaged, to end with the average; 0 for none
    frozen: int = 0  # so many layers of the pretrained base, from its input on, do not learn; -1: the whole base


class Distortion(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is done to the pictures at random. Shares of the side, or of the range 0 to 255; 0 does nothing."""

    flip: bool = False
    rotation: float = 0.0  # of a full turn, either way
    shift: float = 0.0
    zoom: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0
    erasing: float = 0.0  # share of the pictures that lose a rectangle (Zhong et al., 2017)
    softening: float = 0.0  # share of the pictures that are shrunk, to a quarter at most, and enlarged again
    noise: float = 0.0  # the largest deviation
    noisy: float = 1.0  # share of the pictures that get noise
    fading: float = 0.0  # share of a training, at its end, over which softening, noise and mixup fade away


class Watching(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is done when the held-out accuracy has not risen for so many epochs; 0 never does it."""

    reduce_after: int = 0  # multiplies a constant rate by `factor`
    factor: float = 0.1
    stop_after: int = 0  # ends the phase
    keep_best: bool = False  # the weights of the best epoch are kept, not the last


class Distillation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Learning from a teacher's answers as well (Hinton et al., "Distilling the Knowledge", 2015)."""

    weight: float = 0.7  # of the teacher's answers; the rest is the targets'
    temperature: float = 2.0


class Recipe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that decides what a training makes of a data set."""

    architecture: str
    phases: tuple[Phase, ...]
    batch_size: int
    distortion: Distortion = Distortion()
    mixup: float = 0.0  # alpha of the beta distribution (Zhang et al., 2018)
    label_smoothing: float = 0.0
    denoising: float = 0.0  # share of a label that is what its picture's votes make likely
    votes: float = 0.0  # weight of the head that learns FER+'s votes, beside the labels' 1
    watching: Watching = Watching()
    held_out: float = 0.1  # share of the training split that only watches
    without: tuple[int, int] | None = None  # (which, of how many) part of the rest is left out: for a teacher of those
    balanced: bool = False  # as many pictures of each class as of the rarest
    classes: tuple[str, ...] = EMOTIONS
    options: dict[str, float] = {}  # what the architecture's `build` takes
    pretrained: bool = False  # the base starts from ImageNet's weights
    distillation: Distillation | None = None
    radius: float = 0.0  # how far sharpness-aware minimisation climbs; 0 for plain steps (`classifier.sharpness`)
    mirrored: bool = False  # filters come in mirrored pairs
    blend: float = 0.0  # share of the weights that a training began with in those that it ends with
    seed: int = 1

    @property
    def epochs(self) -> int:
        """Of all phases."""
        return sum(phase.epochs for phase in self.phases)


def changed(
    recipe: Recipe, *, epochs: int | None = None, batch_size: int | None = None, rate: float | None = None,
    seed: int | None = None, classes: str | None = None, from_scratch: bool = False, distil: bool = False,
    blend: float | None = None, without: str | None = None, radius: float | None = None,
) -> Recipe:  # fmt: skip
    """The recipe with what a user wants otherwise. `epochs` are divided among the phases as the recipe's are.

    `rate` is that of the last phase. `without` is a part like 1/4, the first of four.

    Raises InputError for classes that are no emotions, or fewer than two, for what is no part, and for no such rate.
    """
    phases = recipe.phases
    if rate is not None and not 0 < rate < math.inf:
        raise InputError(f"a learning rate of {rate:g} teaches nothing")
    if from_scratch and recipe.pretrained:
        # There is nothing to keep frozen: everything learns, at the first phase's rate.
        phases = (msgspec.structs.replace(phases[-1], rate=phases[0].rate, frozen=0),)
    phases = _of_epochs(phases, epochs) if epochs else phases
    phases = (*phases[:-1], msgspec.structs.replace(phases[-1], rate=rate or phases[-1].rate))
    return msgspec.structs.replace(
        recipe, phases=phases, batch_size=batch_size or recipe.batch_size,
        seed=recipe.seed if seed is None else seed,
        classes=recipe.classes if classes is None else emotions(classes),
        pretrained=recipe.pretrained and not from_scratch,
        blend=recipe.blend if blend is None else blend,
        radius=recipe.radius if radius is None else radius,
        without=recipe.without if without is None else part(without),
        distillation=(recipe.distillation or Distillation()) if distil else None,
    )  # fmt: skip


def _of_epochs(phases: tuple[Phase, ...], epochs: int) -> tuple[Phase, ...]:
    """The phases, shorter or longer: so many epochs in all, in the same proportions; none of a phase that gets none."""
    total = sum(phase.epochs for phase in phases)
    ends = [round(sum(phase.epochs for phase in phases[: place + 1]) * epochs / total) for place in range(len(phases))]
    return tuple(
        msgspec.structs.replace(phase, epochs=end - begin)
        for phase, begin, end in zip(phases, [0, *ends], ends, strict=False)
        if end > begin
    )


def part(text: str) -> tuple[int, int]:
    """1/4 -> (1, 4), the first of four. Raises InputError for anything else."""
    match = re.fullmatch(r"(\d+)/(\d+)", text.strip())
    which, count = map(int, match.groups()) if match else (0, 0)
    if not 1 <= which <= count or count < 2:
        raise InputError(f"{text!r} is no part: 1/4 is the first of four")
    return which, count


def emotions(text: str) -> tuple[str, ...]:
    """sad,happy -> (happy, sad), in our order. Raises InputError for what is no emotion, and for fewer than two."""
    names = [name.strip().lower() for name in text.split(",") if name.strip()]
    if unknown := [name for name in names if name not in EMOTIONS]:
        raise InputError(f"no emotion {unknown[0]!r}: there are {', '.join(EMOTIONS)}")
    if len(set(names)) < 2:
        raise InputError("--classes needs at least two emotions, separated by commas")
    return tuple(name for name in EMOTIONS if name in names)


def stronger(how: Distortion, by: float) -> Distortion:
    """Turned and lit by 30 % more, moved and zoomed by 50 %, covered 60 % more often, all that times `by`.

    For networks that are large enough to learn faces by heart.
    """
    more = {"rotation": 0.3, "contrast": 0.3, "shift": 0.5, "zoom": 0.5, "erasing": 0.6}
    return msgspec.structs.replace(how, **{name: getattr(how, name) * (1 + by * share) for name, share in more.items()})


def ours(architecture: str, *, rate: float = 0.1, epochs: int = 80, batch_size: int = 128) -> Recipe:
    """Our own way, for any network: SGD, warm-up and cosine decay, distortion, averaged weights, both heads.

    Milder distortion than large networks take: a network of a million weights does not learn FER2013 by heart in so few
    epochs, and what it is kept from learning it lacks on new faces as well. Votes weigh more than labels, even for who
    wants labels: ten people's answers have less chance in them than one's (`benchmarks.ablation`).
    """
    # Keras takes decay off the weights by themselves, not by way of the momentum, which would make ten times as much of
    # it: 2e-3 here is what others call 2e-4.
    phase = Phase(
        epochs=epochs, optimizer="sgd", rate=rate, schedule="cosine", warmup_epochs=3, weight_decay=2e-3, averaged=0.035
    )
    return Recipe(
        architecture=architecture, phases=(phase,), batch_size=batch_size, label_smoothing=0.1,
        mixup=0.2, votes=2.0, held_out=0.03,
        distortion=Distortion(
            flip=True, rotation=0.03, shift=0.08, zoom=0.12, brightness=0.2, contrast=0.3, erasing=0.3,
            softening=0.15, noise=0.08, noisy=0.15, fading=0.2,
        ),
    )  # fmt: skip
