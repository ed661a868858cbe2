"""A picture with what was read in it: boxes, people, emotions, stress."""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from functools import cache
from typing import Any, Final, TypeAlias

import cv2
import numpy as np

from contracts.emotions import COLOURS
from contracts.messages import Picture
from contracts.rows import Observation
from dashboards.live.now import short_name

Colour: TypeAlias = tuple[int, int, int]

WIDEST: Final = 960
QUALITY: Final = 75
FONT: Final = cv2.FONT_HERSHEY_DUPLEX
WHITE: Final = (255, 255, 255)
INK: Final = (24, 20, 16)
SMALLEST_TEXT: Final = 10
"""Pixels; the names in a tiny picture are not shrunk below."""

BLOCKS: Final = 4
"""Blocks across a head that must not be recognised."""
AROUND: Final = 0.25
"""Widths of the box beyond its edges that belong to a head."""
ROOM: Final = 1.6
"""Widths of its box that a name may take."""


def annotate(
    picture: Picture | bytes, rows: Sequence[Observation], hidden: AbstractSet[str] = frozenset()
) -> bytes | None:
    """JPEG of the picture, at most `WIDEST` pixels wide, with the observations of its frame.

    A face that belongs to nobody (yet) gets a thin box and no name; who is `hidden` cannot be recognised. None for
    bytes that are no picture.
    """
    opened = _opened(picture)
    if opened is None:
        return None
    height, width = opened.shape[:2]
    scale = min(1.0, WIDEST / width)
    if scale < 1:
        canvas = cv2.resize(opened, (WIDEST, max(1, round(height * scale))), interpolation=cv2.INTER_AREA)
    else:
        canvas = opened.copy()  # the detectors may still be looking at it
    for row in rows:
        if row.person_id in hidden:
            _hide(canvas, row, scale)
    for row in sorted(rows, key=lambda row: row.y + row.height):  # who is nearer comes on top
        if row.person_id not in hidden:
            _draw(canvas, row, scale)
    done, data = cv2.imencode(".jpg", canvas, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    return data.tobytes() if done else None


def _opened(picture: Picture | bytes) -> Any:
    if not isinstance(picture, bytes):
        return picture
    try:
        return cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:
        return None


def _draw(canvas: Any, row: Observation, scale: float) -> None:
    left, top = round(row.x * scale), round(row.y * scale)
    right, bottom = round((row.x + row.width) * scale), round((row.y + row.height) * scale)
    colour = _bgr(row.dominant)
    line = max(1, round(canvas.shape[0] / 240))
    cv2.rectangle(canvas, (left, top), (right, bottom), INK, line + 2, cv2.LINE_AA)
    if not row.person_id:
        cv2.rectangle(canvas, (left, top), (right, bottom), WHITE, 1, cv2.LINE_AA)
        return
    cv2.rectangle(canvas, (left, top), (right, bottom), colour, line, cv2.LINE_AA)
    _label(canvas, row, left, right, top, colour)
    _stress_bar(canvas, row, left, right, bottom)


def _hide(canvas: Any, row: Observation, scale: float) -> None:
    """Leaves a few coarse blocks of a head."""
    spare = row.width * AROUND
    left, top = (max(0, round(edge * scale)) for edge in (row.x - spare, row.y - spare))
    right, bottom = (round(edge * scale) for edge in (row.x + row.width + spare, row.y + row.height + spare))
    head = canvas[top:bottom, left:right]
    if head.size:
        coarse = cv2.resize(head, (BLOCKS, BLOCKS), interpolation=cv2.INTER_AREA)
        head[:] = cv2.resize(coarse, (head.shape[1], head.shape[0]), interpolation=cv2.INTER_NEAREST)


def _label(canvas: Any, row: Observation, left: int, right: int, top: int, colour: Colour) -> None:
    """`3 happy` on the emotion's colour, above the box, or in it where the box touches the picture's top.

    The number alone where a small face has no room for more: in a crowd the names would hide each other.
    """
    tall = max(SMALLEST_TEXT, round(canvas.shape[0] / 30))
    size = cv2.getFontScaleFromHeight(FONT, tall, 1)
    text = f"{short_name(row.person_id)} {row.dominant}"
    (wide, _), below = cv2.getTextSize(text, FONT, size, 1)
    if wide > ROOM * (right - left):
        text = text.partition(" ")[0]
        (wide, _), below = cv2.getTextSize(text, FONT, size, 1)
    pad = max(2, tall // 4)
    width, height = wide + 2 * pad, tall + below // 2 + 2 * pad
    x = max(0, min(left, canvas.shape[1] - width))
    y = top - height if top >= height else max(0, top)
    cv2.rectangle(canvas, (x, y), (x + width, y + height), colour, cv2.FILLED)
    baseline = y + height - pad - below // 2
    cv2.putText(canvas, text, (x + pad, baseline), FONT, size, _ink_on(colour), 1, cv2.LINE_AA)


def _stress_bar(canvas: Any, row: Observation, left: int, right: int, bottom: int) -> None:
    """The stress score as a bar below the box: white, red in the stressed state; with its figure where it has room."""
    thick = max(4, canvas.shape[0] // 70)
    top = min(bottom + thick // 2, canvas.shape[0] - thick)
    cv2.rectangle(canvas, (left - 1, top - 1), (right + 1, top + thick), INK, cv2.FILLED)
    reach = left + round((right - left) * min(1.0, max(0.0, row.stress)))
    colour = (60, 60, 255) if row.stressed else WHITE
    if reach > left:
        cv2.rectangle(canvas, (left, top), (reach, top + thick - 1), colour, cv2.FILLED)
    tall = max(SMALLEST_TEXT, round(canvas.shape[0] / 38))
    size = cv2.getFontScaleFromHeight(FONT, tall, 1)
    text = f"stress {row.stress:.0%}"
    (wide, _), _ = cv2.getTextSize(text, FONT, size, 1)
    baseline = top + thick + tall + max(2, tall // 3)
    if wide <= right - left and baseline < canvas.shape[0]:
        cv2.putText(canvas, text, (left, baseline), FONT, size, INK, 3, cv2.LINE_AA)
        cv2.putText(canvas, text, (left, baseline), FONT, size, colour, 1, cv2.LINE_AA)


@cache
def _bgr(emotion: str) -> Colour:
    red, green, blue = bytes.fromhex(COLOURS[emotion].removeprefix("#"))
    return blue, green, red


def _ink_on(colour: Colour) -> Colour:
    """Black or white, whichever is easier to read on this."""
    blue, green, red = colour
    return INK if 0.114 * blue + 0.587 * green + 0.299 * red > 110 else WHITE
