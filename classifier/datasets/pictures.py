"""Many grey pictures, in memory or still on disk, behind the same few methods."""

import hashlib
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Final, Protocol, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from contracts.errors import InputError
from contracts.messages import U8

I64: TypeAlias = NDArray[np.int64]
Mask: TypeAlias = NDArray[np.bool_]
Size: TypeAlias = tuple[int, int]
"""height, width"""
Prints: TypeAlias = tuple[NDArray[np.bytes_], Mask]
"""S32[N]: a digest of each picture's pixels, the same for exact duplicates; bool[N]: which are one even colour"""


class Pictures(Protocol):
    """N grey pictures."""

    def __len__(self) -> int: ...

    @property
    def prints(self) -> Prints:
        """Digests and blanks; computed once, by reading every picture. Raises InputError for one that is damaged."""
        ...

    def take(self, which: Mask | I64) -> "Pictures":
        """Those at these places, in this order, with their prints where these are known already."""
        ...

    def read(self, which: I64, size: Size) -> U8:
        """u8[n, height, width] of the pictures at these places, brought to the size."""
        ...


class InMemory:
    """Pictures of one size in an array u8[N, H, W]."""

    def __init__(self, images: U8) -> None:
        self.images: Final = images

    def __len__(self) -> int:
        return len(self.images)

    @cached_property
    def prints(self) -> Prints:
        return _prints(len(self), self.images.__getitem__)

    def take(self, which: Mask | I64) -> "InMemory":
        taken = InMemory(self.images[which])
        _hand_on(self, taken, which)
        return taken

    def read(self, which: I64, size: Size) -> U8:
        return bring(self.images[which], size)


class OnDisk:
    """Pictures in files, decoded whenever they are asked for: a tree of any size fits into memory."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths: Final = list(paths)

    def __len__(self) -> int:
        return len(self.paths)

    @cached_property
    def prints(self) -> Prints:
        return _prints(len(self), lambda place: _decode(self.paths[place]))

    def take(self, which: Mask | I64) -> "OnDisk":
        taken = OnDisk([self.paths[place] for place in np.arange(len(self))[which]])
        _hand_on(self, taken, which)
        return taken

    def read(self, which: I64, size: Size) -> U8:
        if not len(which):
            return np.zeros((0, *size), np.uint8)
        return np.concatenate([bring(_decode(self.paths[place])[None], size) for place in which])


def bring(images: U8, size: Size) -> U8:
    """u8[n, H, W] -> u8[n, *size]: the middle square, shrunk by averaging or enlarged bicubically."""
    height, width = images.shape[1:]
    if (height, width) == size:
        return images
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    images = images[:, top : top + side, left : left + side]
    how = cv2.INTER_AREA if size[0] < side else cv2.INTER_CUBIC
    resized = [cv2.resize(image, (size[1], size[0]), interpolation=how) for image in images]
    return np.asarray(resized, np.uint8).reshape(len(images), *size)


def _decode(path: Path) -> U8:
    # Not imread: it takes a photograph that breaks off for a whole one, and not every name.
    try:
        picture = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_GRAYSCALE)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None
    except cv2.error:
        picture = None
    if picture is None:
        raise InputError(f"{path} cannot be read as an image: it is damaged or of an unknown kind")
    return np.asarray(picture, np.uint8)


def _hand_on(known: InMemory | OnDisk, taken: InMemory | OnDisk, which: Mask | I64) -> None:
    if "prints" in vars(known):
        digests, blank = known.prints
        taken.prints = (digests[which], blank[which])


def _prints(count: int, picture: Callable[[int], U8]) -> Prints:
    digests = np.zeros(count, "S32")
    blank = np.zeros(count, bool)
    for place in range(count):
        pixels = picture(place)
        # In hexadecimal: numpy's byte strings lose a trailing zero byte.
        digests[place] = hashlib.blake2b(pixels.tobytes(), digest_size=16).hexdigest().encode()
        blank[place] = pixels.min() == pixels.max()
    return digests, blank
