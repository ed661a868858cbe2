"""What is done to pictures before a network learns from them."""

from typing import Any

import msgspec
import numpy as np
import pytest

from classifier import batches as batching
from classifier.augmentation import distort
from classifier.chance import chance
from classifier.datasets import Examples
from classifier.datasets.pictures import InMemory
from classifier.recipe import Distortion, Phase
from tests.classifier.making import QUICK, stripes, with_phases

pytestmark = pytest.mark.xdist_group("tensorflow")


def batches(examples: Examples, distortion: Distortion, **changes: Any) -> Any:
    """Of a training of four epochs in two phases, eight pictures each."""
    recipe = with_phases(
        msgspec.structs.replace(QUICK, batch_size=8, distortion=distortion, **changes), Phase(epochs=3), Phase(epochs=1)
    )
    return batching.batches(examples, recipe, {"fer2013": 7}, size=(48, 48), channels=1, first=0, last=4)


@pytest.mark.parametrize(
    "how",
    [
        Distortion(flip=True), Distortion(rotation=0.1), Distortion(erasing=1.0), Distortion(softening=1.0),
        Distortion(noise=0.1), Distortion(brightness=0.3, contrast=0.3), Distortion(shift=0.2, zoom=0.2),
    ],
)  # fmt: skip
def test_each_distortion_changes_pictures_stays_in_range_and_can_be_repeated(how: Distortion) -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (32, 24, 24, 1)).astype(np.float32)
    first, again, other = (np.asarray(distort(pictures, how, chance(1, seed))) for seed in (2, 2, 3))
    assert first.shape == pictures.shape
    assert 0 <= first.min() <= first.max() <= 255
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert not np.array_equal(first, pictures)
    assert np.array_equal(np.asarray(distort(pictures, Distortion(), chance(1, 2))), pictures)


def test_softening_takes_the_detail_and_leaves_the_light() -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (64, 24, 24, 1)).astype(np.float32)
    soft = np.asarray(distort(pictures, Distortion(softening=0.5), chance(1, 2)))
    touched = np.abs(soft - pictures).max(axis=(1, 2, 3)) > 0
    assert 16 < touched.sum() < 48
    assert (soft[touched].std(axis=(1, 2, 3)) < 0.7 * pictures[touched].std(axis=(1, 2, 3))).all()
    assert np.abs(soft.mean(axis=(1, 2, 3)) - pictures.mean(axis=(1, 2, 3))).max() < 8


def test_only_a_share_of_the_pictures_gets_noise() -> None:
    pictures = np.full((64, 24, 24, 1), 128, np.float32)
    how = Distortion(noise=0.1, noisy=0.25)
    noisy = np.asarray(distort(pictures, how, chance(1, 2)))
    touched = np.abs(noisy - pictures).max(axis=(1, 2, 3)) > 0
    assert 6 < touched.sum() < 28
    whole = np.asarray(distort(pictures, Distortion(noise=0.1), chance(1, 2)))
    assert (np.abs(whole - pictures).max(axis=(1, 2, 3)) > 0).all()


def test_softening_and_noise_fade_away_at_the_end() -> None:
    examples = msgspec.structs.replace(stripes(64, 1), pictures=InMemory(np.full((64, 48, 48), 128, np.uint8)))
    noise = [
        float(np.asarray(pictures).std()) for pictures, _, _ in batches(examples, Distortion(noise=0.2, fading=0.5))
    ]
    assert len(noise) == 32
    assert min(noise[:16]) > 10
    assert noise[16] > noise[24] > noise[-1] > 0
    assert noise[-1] < 3


def test_mixing_fades_away_with_them() -> None:
    seen = batches(stripes(64, 1), Distortion(fading=0.5), mixup=1.0, label_smoothing=0.0)
    other = [1 - float(np.asarray(targets["fer2013"]).max(axis=1).mean()) for _, targets, _ in seen]
    assert len(other) == 32
    assert np.mean(other[:16]) > 0.1
    assert np.mean(other[:16]) > np.mean(other[20:26]) > np.mean(other[28:])
    assert other[-1] < 0.04
