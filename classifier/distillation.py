"""Learning from teachers: the mean of their answers to the distorted pictures is a target beside labels and votes.

Each teacher sees a picture and its mirror image, and answers the mean of both: a face in a mirror feels the same, no
network quite knows that, and so the mean is better than either answer. The student pays for one look, and learns two.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
from keras import ops

from classifier.card import WEIGHTS_FILE, read_card
from classifier.recipe import Distillation
from contracts.errors import InputError


class Student(keras.Model):  # type: ignore[misc]  # Keras has no types
    """A network that is trained with Hinton et al.'s loss; it shares its layers with the network that it is made of."""

    def __init__(self, network: Any, teachers: Sequence[Any], how: Distillation) -> None:
        super().__init__(network.input, network.output, name=f"{network.name}_student")
        self.distillation = how
        # In a function, or Keras would take the teachers for parts of the student.
        self._answers: Callable[[Any], list[Any]] = lambda pictures: [one(pictures, training=False) for one in teachers]

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        own = super().compute_loss(x, y, y_pred, sample_weight, training)
        if not training:
            return own
        weight, temperature = self.distillation.weight, self.distillation.temperature
        taught = 0.0
        answers = self._answers(ops.concatenate([x, ops.flip(x, axis=2)]))
        for head, logits in y_pred.items():
            if any(head in answer for answer in answers):
                shares = [ops.softmax(answer[head] / temperature) for answer in answers if head in answer]
                straight, mirrored = ops.split(sum(shares) / len(shares), 2)
                target = ops.stop_gradient((straight + mirrored) / 2)
                answer = ops.log_softmax(logits / temperature)
                taught -= ops.mean(ops.sum(target * answer, axis=-1)) * temperature**2
        return (1 - weight) * own + weight * taught


def read_teacher(folder: Path, heads: Mapping[str, int], classes: tuple[str, ...], size: tuple[int, int]) -> Any:
    """A model of ours. Raises InputError for one that cannot teach these heads, or not from such pictures."""
    card = read_card(folder)
    shared = [head for head in heads if head in card.heads]
    if not shared:
        raise InputError(f"the teacher {card.name} has none of the student's heads: {', '.join(heads)}")
    if any(card.heads[head].classes != classes for head in shared):
        raise InputError(f"the teacher {card.name} knows other classes than {', '.join(classes)}")
    if (card.crop.height, card.crop.width) != size:
        theirs = f"{card.crop.height}x{card.crop.width}"
        raise InputError(f"the teacher {card.name} takes crops of {theirs}, the student of {size[0]}x{size[1]}")
    model = keras.models.load_model(folder / WEIGHTS_FILE, compile=False)
    model.trainable = False
    return model
