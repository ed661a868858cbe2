"""The end of a training: the weights in their file, the model measured and described, its folder full of pictures."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import keras
import msgspec
import numpy as np

from classifier import evaluation, metrics
from classifier.architectures import architecture
from classifier.calibration import ENOUGH, wanted_of
from classifier.card import WEIGHTS_FILE, Head, ModelCard, Training, file_sha256, write_card
from classifier.copies import in_precision
from classifier.datasets import FRAMING, Examples
from classifier.engine import softmax
from classifier.evaluation import VOTED, Answers, Measured
from classifier.exporting import save_small
from classifier.fused import plain
from classifier.plots import draw
from classifier.recipe import Recipe
from contracts.emotions import EMOTIONS

HISTORY_FILE: Final = "history.csv"
FER2013: Final = "fer2013"  # its head
LIMITS: Final = [
    "Trained on 48x48 grey photographs found on the web, mostly posed and frontal, without a record of who is shown: "
    "expect it to be worse on faces that such collections show rarely, in the dark, in profile, and below 24 pixels.",
    "People do not agree on these pictures either: the majority of ten people gives FER2013's label on 65 % of them.",
]
"""Of models that learnt from FER2013."""
EVERY_LIMITS: Final = ["A facial expression is not a feeling, and nothing here diagnoses anything."]
LICENCE: Final = "Apache-2.0 (the weights; the photographs they were trained on have no stated licence)"


class Finished(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a training."""

    card: ModelCard
    measured: Measured


def write_history(folder: Path, history: Sequence[dict[str, float]]) -> None:
    """Writes `history.csv`: a row for each epoch."""
    with (folder / HISTORY_FILE).open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(history[0]))
        writer.writeheader()
        writer.writerows(history)


def finish(
    network: Any, examples: Examples, held_out: Examples, folder: Path, recipe: Recipe, made: Training,
    history: Sequence[dict[str, float]],
) -> Finished:  # fmt: skip
    """Writes the model folder. The heads' temperatures come from the held-out pictures, the figures from the test's."""
    inference = plain(keras.Model(network.input, network.output, name=network.name))  # without the optimizer's state
    if any(layer.dtype_policy.name.startswith("mixed") for layer in network.layers):
        inference = in_precision(inference, "float32")
    save_small(inference, folder / WEIGHTS_FILE)
    public = examples.of("public")
    columns = [EMOTIONS.index(name) for name in recipe.classes]
    watched = evaluation.logits(inference, held_out.pictures) if len(held_out) >= ENOUGH else {}
    targets = {head: wanted_of(head, recipe.classes, held_out) for head in watched}
    logits = evaluation.logits(inference, public.pictures)
    heads = {
        head: Head(
            meaning=_meaning(head), classes=recipe.classes,
            temperature=round(metrics.temperature(watched[head], targets[head]), 4) if watched else 1.0,
        )
        for head in logits
    }  # fmt: skip
    probabilities = {head: softmax(values / heads[head].temperature) for head, values in logits.items()}
    label_head = next(head for head in heads if head != VOTED)
    answers = Answers(
        classes=recipe.classes, labels=np.searchsorted(columns, public.labels), probabilities=probabilities[label_head],
        pictures=public.pictures, size=inference.input_shape[1:3],
    )  # fmt: skip
    measured = evaluation.summarise(
        answers, votes=public.votes[:, columns], voted=probabilities.get(VOTED, answers.probabilities),
        twins=public.twins_in(examples.of("train")),
    )  # fmt: skip
    card = _card(inference, folder, recipe, heads, made, measured)
    write_card(folder, card)
    (folder / "evaluation.json").write_bytes(msgspec.json.format(msgspec.json.encode(measured)) + b"\n")
    draw(folder, answers, measured, history)
    return Finished(card=card, measured=measured)


def _card(
    model: Any, folder: Path, recipe: Recipe, heads: dict[str, Head], made: Training, measured: Measured
) -> ModelCard:
    accuracy = {next(head for head in heads if head != VOTED): round(measured.accuracy, 4)}
    if VOTED in heads and measured.accuracy_plus is not None:
        accuracy[VOTED] = round(measured.accuracy_plus, 4)
    tested = "FER2013's PublicTest" if FER2013 in heads else "the data set's test pictures"
    votes = f" {VOTED}: against the majority of FER+'s votes, where there is a single one." if VOTED in heads else ""
    few = f" It knows {len(recipe.classes)} emotions: {', '.join(recipe.classes)}; the others are never answered."
    return describe(
        model, folder, recipe.architecture, heads, made, accuracy=accuracy,
        accuracy_note=f"{tested}, without test-time augmentation; looked at once, after training." + votes
        + (few if len(recipe.classes) < len(EMOTIONS) else ""),
        limits=(LIMITS if FER2013 in heads else []) + EVERY_LIMITS
        + ([few.strip()] if len(recipe.classes) < len(EMOTIONS) else []),
        licence=LICENCE if FER2013 in heads else "not chosen yet: it is the owner's to choose",
    )  # fmt: skip


def describe(
    model: Any, folder: Path, name: str, heads: dict[str, Head], made: Training, *, accuracy: dict[str, float],
    accuracy_note: str, limits: list[str], licence: str,
) -> ModelCard:  # fmt: skip
    """The card of a model whose weights lie in the folder."""
    height, width, channels = model.input_shape[1:]
    return ModelCard(
        name=folder.resolve().name,
        architecture=name,
        parameters=int(model.count_params()),
        heads=heads,
        default_head=VOTED if VOTED in heads else next(iter(heads)),
        crop=msgspec.structs.replace(FRAMING, height=height, width=width, channels=channels),
        preprocessing="grey, 0 to 255, as uint8; the network does the rest itself",
        training=made,
        accuracy=accuracy,
        accuracy_note=accuracy_note,
        limits=limits,
        licence=licence,
        sha256=file_sha256(folder / WEIGHTS_FILE),
    )


def untrained(name: str, folder: Path, *, classes: tuple[str, ...] = EMOTIONS, **options: Any) -> ModelCard:
    """Writes a network with the weights it starts from, as a model like any other: for measuring speed."""
    folder.mkdir(parents=True, exist_ok=True)
    model = architecture(name).build({"labels": len(classes)}, **options)
    save_small(model, folder / WEIGHTS_FILE)
    card = describe(
        model, folder, name, {"labels": Head(meaning="untrained", classes=classes)},
        Training(command="-", data="-", images=0, epochs=0, seconds=0, device="-"),
        accuracy={}, accuracy_note="untrained", limits=["Untrained: it knows nothing."], licence="-",
    )  # fmt: skip
    write_card(folder, card)
    return card


def _meaning(head: str) -> str:
    return {
        VOTED: "the distribution of FER+'s ten votes per picture over the seven emotions",
        FER2013: "FER2013's labels: one answer per picture, the protocol of the literature",
    }.get(head, "the data set's labels: one answer per picture")
