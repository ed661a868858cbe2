"""The scene that the demo shows: who is in it when, and how it is drawn.

Two photographs of real faces, both in the public domain (NASA's portrait of Eileen Collins from scikit-image, the US
Navy's of Grace Hopper from matplotlib), stand for four people: each also plays a mirrored part in other colours. They
walk about before a backdrop of other public pictures from scikit-image. Everything is a function of time alone.
"""

import importlib.util
from bisect import bisect_right
from functools import cached_property
from math import pi, sin
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from contracts.errors import SourceError
from contracts.messages import Picture

WIDTH, HEIGHT = 960, 540
CYCLE = 30.0  # seconds, then all begins again

Points = tuple[tuple[int, int], ...]
Path3 = tuple[tuple[float, float, float], ...]


class Portrait(NamedTuple):
    """A photograph in a dependency's package, and where the person is in it, in its own pixels."""

    package: str
    file: str
    face: tuple[int, int, int, int]  # x, y, width, height
    outline: Points


class Actor(NamedTuple):
    """Somebody in the scene.

    `walks` are their appearances; each is a list of (second of the cycle, x of the face as a share of the picture's
    width, height of the face in pixels). The bigger a face, the nearer its owner: they hide who is behind them.
    """

    name: str
    portrait: Portrait
    disguise: bool
    phase: float
    walks: tuple[Path3, ...]


class Seen(NamedTuple):
    """A face that is wholly inside the picture."""

    name: str
    box: tuple[float, float, float, float]  # x, y, width, height in pixels
    visible: float  # the share of it that nobody hides, 0 to 1


COLLINS = Portrait(
    "skimage", "data/astronaut.png", (178, 62, 89, 113),
    ((186, 150), (178, 124), (160, 113), (153, 88), (161, 52), (186, 26), (225, 15), (264, 22), (290, 45), (300, 76),
     (295, 106), (273, 127), (265, 148), (255, 173), (264, 180), (288, 203), (303, 232), (302, 247), (338, 265),
     (356, 302), (361, 345), (395, 341), (440, 349), (473, 379), (493, 420), (505, 470), (507, 511), (23, 511),
     (27, 485), (20, 410), (27, 345), (45, 282), (62, 250), (90, 226), (112, 208), (120, 188), (138, 164), (160, 152)),
)  # fmt: skip
HOPPER = Portrait(
    "matplotlib", "mpl-data/sample_data/grace_hopper.jpg", (182, 120, 170, 212),
    ((197, 49), (181, 64), (174, 82), (152, 98), (147, 110), (147, 166), (158, 186), (155, 214), (165, 245),
     (166, 270), (178, 290), (197, 299), (204, 318), (196, 340), (138, 358), (88, 374), (50, 386), (34, 418),
     (24, 426), (27, 459), (17, 526), (11, 599), (511, 599), (511, 432), (503, 428), (494, 396), (468, 377),
     (422, 364), (361, 340), (332, 318), (330, 300), (345, 290), (356, 256), (371, 222), (375, 195), (368, 178),
     (369, 100), (360, 82), (348, 66), (327, 50), (300, 43), (278, 36), (256, 34), (233, 41), (214, 44)),
)  # fmt: skip

ACTORS = (
    Actor("grace", HOPPER, disguise=False, phase=0.0, walks=(
        ((0, 0.30, 150), (6.5, 0.32, 160), (10.5, 0.72, 150), (12.5, 0.74, 150), (15, 1.25, 150)),
        ((23.5, -0.25, 145), (27, 0.28, 150), (30, 0.30, 150)),
    )),
    Actor("eileen", COLLINS, disguise=False, phase=1.3, walks=(
        ((2, 1.20, 95), (5, 0.68, 100), (6.5, 0.66, 100), (10.5, 0.26, 105), (18, 0.30, 125), (19.5, 0.28, 120),
         (22, -0.30, 115)),
    )),
    Actor("mira", HOPPER, disguise=True, phase=2.9, walks=(
        ((11.5, 1.25, 130), (15, 0.51, 134), (20, 0.49, 138), (25, 0.50, 140), (29, 1.25, 130)),
    )),
    Actor("ada", COLLINS, disguise=True, phase=4.4, walks=(
        ((14.5, 1.25, 102), (17.5, 0.70, 102), (22, 0.66, 120), (24, 0.68, 118), (27, 1.25, 108)),
    )),
)  # fmt: skip
"""The script."""


class Place(NamedTuple):
    """Where an actor is: a point of the photograph is drawn at (left, top) + scale * point."""

    scale: float
    left: float
    top: float


class Sprite:
    """An actor's cut-out, at the largest size that the script asks for, and where it goes."""

    def __init__(self, actor: Actor) -> None:
        photo = _photograph(actor.portrait.package, actor.portrait.file)
        outline = np.array(actor.portrait.outline, np.int32)
        x, y, width, height = actor.portrait.face
        if actor.disguise:
            photo = np.ascontiguousarray(_disguised(photo, from_row=y + round(1.38 * height))[:, ::-1])
            outline[:, 0] = photo.shape[1] - 1 - outline[:, 0]
            x = photo.shape[1] - x - width
        self.actor = actor
        self.face = (x, y, width, height)
        self.outline = outline
        self.rows = photo.shape[0]
        self._size = min(1.0, 1.03 * max(h for walk in actor.walks for _, _, h in walk) / height)
        mask = np.zeros(photo.shape[:2], np.uint8)
        cv2.fillPoly(mask, [outline], 255, cv2.LINE_AA)
        soft = cv2.GaussianBlur(cv2.erode(mask, np.ones((3, 3), np.uint8)), (0, 0), 1.6)
        soft[-4:] = mask[-4:]
        alpha = cv2.cvtColor(soft, cv2.COLOR_GRAY2BGR)
        shrink = (round(photo.shape[1] * self._size), round(photo.shape[0] * self._size))
        self._paint = cv2.resize(cv2.multiply(photo, alpha, scale=1 / 255), shrink, interpolation=cv2.INTER_AREA)
        self._rest = 255 - cv2.resize(alpha, shrink, interpolation=cv2.INTER_AREA)

    def place(self, second: float) -> Place | None:
        """Where the actor is at that second of the cycle; None while away."""
        for walk in self.actor.walks:
            if walk[0][0] <= second <= walk[-1][0]:
                break
        else:
            return None
        after = min(bisect_right([t for t, _, _ in walk], second), len(walk) - 1)
        (t0, x0, h0), (t1, x1, h1) = walk[after - 1], walk[after]
        share = (second - t0) / (t1 - t0)
        share *= share * (3 - 2 * share)  # nobody starts or stops at once
        # Whole waves in a cycle, so that its end and its beginning meet.
        sway = sin(2 * pi * 9 * second / CYCLE + self.actor.phase)
        nod = sin(2 * pi * 13 * second / CYCLE + 2 * self.actor.phase)
        x, _, width, height = self.face
        scale = (h0 + (h1 - h0) * share) * (1 + 0.008 * nod) / height
        left = (x0 + (x1 - x0) * share) * WIDTH + 5 * sway - scale * (x + width / 2)
        return Place(scale, left, HEIGHT - scale * self.rows + 4 + 3 * nod)

    def box(self, place: Place) -> tuple[float, float, float, float]:
        """Where the face is then: x, y, width, height in pixels."""
        x, y, width, height = (place.scale * side for side in self.face)
        return place.left + x, place.top + y, width, height

    def draw(self, picture: Picture, place: Place) -> None:
        """Lays the cut-out over the picture."""
        zoom = place.scale / self._size
        left, top = max(0, int(place.left)), max(0, int(place.top))
        right = min(WIDTH, int(place.left + zoom * self._paint.shape[1]) + 1)
        if right <= left:
            return
        move = np.array([[zoom, 0, place.left - left], [0, zoom, place.top - top]])
        size = (right - left, HEIGHT - top)
        paint = cv2.warpAffine(self._paint, move, size)
        rest = cv2.warpAffine(self._rest, move, size, borderValue=(255, 255, 255))
        region = picture[top:, left:right]
        cv2.multiply(region, rest, dst=region, scale=1 / 255)
        cv2.add(region, paint, dst=region)


class Scene:
    """Draws the scene, and knows who can be seen in it."""

    @cached_property
    def sprites(self) -> list[Sprite]:
        """One for each actor; made when first asked for."""
        return [Sprite(actor) for actor in ACTORS]

    @cached_property
    def _backdrops(self) -> tuple[Picture, Picture]:
        evening = _cover(_photograph("skimage", "data/rocket.jpg"), 4.0, (1.0, 1.0, 1.0), 25)
        wall = _cover(_photograph("skimage", "data/brick.png"), 2.5, (0.72, 0.9, 1.12), 45)
        return evening, wall

    def draw(self, seconds: float) -> Picture:
        """The picture at a time, u8[540, 960, 3] BGR; the same one every time."""
        second = seconds % CYCLE
        wave = sin(2 * pi * second / CYCLE)
        left = round(96 * (0.5 + 0.5 * wave))
        views = [backdrop[:HEIGHT, left : left + WIDTH] for backdrop in self._backdrops]
        share = 0.5 - 0.5 * sin(2 * pi * (second + CYCLE / 4) / CYCLE)
        picture = np.asarray(cv2.addWeighted(views[0], 1 - share, views[1], share, 0), np.uint8)
        for sprite, place in self._cast(second):
            sprite.draw(picture, place)
        light = 1 + 0.08 * sin(2 * pi * 2 * second / CYCLE)
        return np.asarray(cv2.convertScaleAbs(picture, picture, light), np.uint8)

    def seen(self, seconds: float) -> list[Seen]:
        """Whose faces are wholly inside the picture at a time, the farthest first."""
        cast = self._cast(seconds % CYCLE)
        answer = []
        for depth, (sprite, place) in enumerate(cast):
            x, y, width, height = sprite.box(place)
            if x < 0 or y < 0 or x + width > WIDTH or y + height > HEIGHT:
                continue
            hidden: NDArray[np.uint8] = np.zeros((HEIGHT, WIDTH), np.uint8)
            for other, there in cast[depth + 1 :]:
                shape = other.outline * there.scale + (there.left, there.top)
                cv2.fillPoly(hidden, [shape.astype(np.int32)], 1)
            face = hidden[round(y) : round(y + height), round(x) : round(x + width)]
            answer.append(Seen(sprite.actor.name, (x, y, width, height), 1 - float(face.mean())))
        return answer

    def _cast(self, second: float) -> list[tuple[Sprite, Place]]:
        """Who is there, the farthest first."""
        there = [(sprite, place) for sprite in self.sprites if (place := sprite.place(second))]
        return sorted(there, key=lambda pair: pair[1].scale * pair[0].face[3])


def _photograph(package: str, file: str) -> Picture:
    """A picture from an installed package, which is found without being imported."""
    spec = importlib.util.find_spec(package)
    path = Path(spec.origin).parent / file if spec and spec.origin else Path(file)
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR) if path.is_file() else None
    if picture is None:
        raise SourceError(f"the demo needs {file} of the package {package}, which is not installed whole; reinstall it")
    return np.asarray(picture, np.uint8)


def _disguised(photo: Picture, from_row: int) -> Picture:
    """The same person in other clothes (below the face), with darker hair and in cooler light."""
    toned = cv2.LUT(photo, np.clip(255 * (np.arange(256) / 255) ** 1.18, 0, 255).astype(np.uint8))
    toned = cv2.transform(toned, np.diag([1.08, 1.0, 0.93]))
    toned[from_row:] = toned[from_row:, :, ::-1]
    return np.asarray(toned, np.uint8)


def _cover(photo: Picture, blur: float, tint: tuple[float, float, float], lift: float) -> Picture:
    """The photograph as a backdrop out of focus, wider than the picture so that the view can wander over it."""
    wide = WIDTH + 100
    zoom = max(wide / photo.shape[1], HEIGHT / photo.shape[0])
    photo = np.asarray(cv2.resize(photo, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_CUBIC), np.uint8)
    top = (photo.shape[0] - HEIGHT) // 2
    soft = cv2.GaussianBlur(photo[top : top + HEIGHT, :wide], (0, 0), blur)
    return np.asarray(np.clip(soft * np.array(tint) + lift, 0, 255), np.uint8)
