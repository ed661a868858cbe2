"""Learning from teachers: their answers to the distorted pictures are targets beside labels and votes.

A batch is divided among the teachers. Which picture comes to which of them is left to chance, so that over the epochs
each picture is answered by all and the student learns their mean, at the cost of one. Teachers that have left out a
part of the pictures each are asked about that part (`classifier.parts`).

A teacher sees a picture and its mirror image, and answers the mean of both: a face in a mirror feels the same, no
network quite knows that, and so the mean is better than either answer. The student pays for one look, and learns two.
Where one of them has filters that come in mirrored pairs, one look is enough: such a student cannot help learning the
mean of what it is told of faces and of their mirror images, one after the other.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
from keras import ops

from classifier.card import WEIGHTS_FILE, ModelCard, read_card
from classifier.evaluation import VOTED
from classifier.mirrored import answers_alike
from classifier.parts import slices
from classifier.recipe import Distillation
from classifier.sharpness import SharpnessAware
from contracts.errors import InputError


class Student(SharpnessAware):
    """A network that is trained with Hinton et al.'s loss; it shares its layers with the network that it is made of."""

    def __init__(
        self, network: Any, teachers: Sequence[Any], how: Distillation, weights: Mapping[str, float] | None = None,
        *, radius: float = 0.0,
    ) -> None:  # fmt: skip
        """`weights` of the heads in what is learnt from teachers, as they are in what is learnt from targets; or 1."""
        super().__init__(network, radius, name=f"{network.name}_student")
        self.distillation, self._weights = how, weights or {}
        # In functions, or Keras would take the teachers for parts of the student.
        alike = answers_alike(network)
        self._teachers: list[Callable[[Any], dict[str, Any]]] = [
            _asked(one, how.temperature, once=alike or answers_alike(one)) for one in teachers
        ]

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        own = super().compute_loss(x, y, y_pred, sample_weight, training)
        if not training:
            return own
        weight, temperature = self.distillation.weight, self.distillation.temperature
        taught = 0.0
        targets = self._targets(x)
        for head, logits in y_pred.items():
            parts = [(part, answer[head]) for part, answer in targets if head in answer]
            if parts:
                answer = ops.log_softmax(ops.concatenate([logits[part] for part, _ in parts]) / temperature)
                target = ops.stop_gradient(ops.concatenate([shares for _, shares in parts]))
                said = ops.mean(ops.sum(target * answer, axis=-1)) * temperature**2
                taught -= self._weights.get(head, 1.0) * said
        return (1 - weight) * own + weight * taught

    def _targets(self, pictures: Any) -> list[tuple[slice, dict[str, Any]]]:
        """The parts of a batch, and what the teachers answer to them: to one part each."""
        parts = slices(ops.shape(pictures)[0], len(self._teachers))
        return [(part, ask(pictures[part])) for part, ask in zip(parts, self._teachers, strict=True)]


def _asked(teacher: Any, temperature: float, *, once: bool) -> Callable[[Any], dict[str, Any]]:
    """A function of pictures: {head: what the teacher answers to them, f32[N, classes]}.

    To them and to their mirror images, on the average, if not `once`.
    """

    def shares(pictures: Any) -> dict[str, Any]:
        looks = [pictures] if once else [pictures, ops.flip(pictures, axis=2)]
        answers = teacher(ops.concatenate(looks), training=False)
        return {
            head: sum(ops.split(ops.softmax(logits / temperature), len(looks))) / len(looks)
            for head, logits in answers.items()
        }

    return shares


def counterparts(card: ModelCard, heads: Iterable[str]) -> dict[str, str]:
    """{head of a network that is to learn: the model's that answers the same}, as far as there are such.

    Labels of another data set, which have another name, are what the model's default head answers.
    """
    others = {head: card.default_head for head in heads if head not in card.heads and head != VOTED}
    return {head: head for head in heads if head in card.heads} | others


def answering(model: Any, heads: Mapping[str, str]) -> Any:
    """The model with these heads alone, under their new names: {new name: the model's}."""
    if set(heads.items()) == {(head, head) for head in model.output}:
        return model
    return keras.Model(model.input, {head: model.output[its] for head, its in heads.items()}, name=model.name)


def read_teacher(folder: Path, heads: Mapping[str, int], classes: tuple[str, ...], size: tuple[int, int]) -> Any:
    """A model of ours. Raises InputError for one that cannot teach these heads, or not from such pictures."""
    card = read_card(folder)
    same = counterparts(card, heads)
    if not same:
        raise InputError(f"the teacher {card.name} has none of the student's heads: {', '.join(heads)}")
    if any(card.heads[head].classes != classes for head in same.values()):
        raise InputError(f"the teacher {card.name} knows other classes than {', '.join(classes)}")
    if (card.crop.height, card.crop.width) != size:
        theirs = f"{card.crop.height}x{card.crop.width}"
        raise InputError(f"the teacher {card.name} takes crops of {theirs}, the student of {size[0]}x{size[1]}")
    model = answering(keras.models.load_model(folder / WEIGHTS_FILE, compile=False), same)
    model.trainable = False
    return model
