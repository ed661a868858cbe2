"""Decoded frames as pictures: what recordings and network cameras have in common."""

import av
import av.logging
import cv2
import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter

from contracts.messages import Picture

av.logging.set_level(None)  # FFmpeg's own messages quote addresses with their passwords

_TURNS = {90: cv2.ROTATE_90_COUNTERCLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_CLOCKWISE}


class Pictures:
    """Turns decoded frames into pictures, upright. One per connection: it keeps the conversion's tables.

    Called without it, PyAV builds them anew for every frame, which costs more than the conversion itself; and a
    second thread for the conversion is only in the decoder's way.
    """

    def __init__(self) -> None:
        self._reformatter = VideoReformatter()

    def __call__(self, frame: VideoFrame) -> Picture:
        """-> u8[height, width, 3], BGR."""
        picture = np.asarray(self._reformatter.reformat(frame, format="bgr24", threads=1).to_ndarray(), np.uint8)
        turn = _TURNS.get(round(frame.rotation / 90) * 90 % 360)
        if turn is not None:
            picture = np.asarray(cv2.rotate(picture, turn), np.uint8)
        return np.ascontiguousarray(picture)


def reason(error: Exception) -> str:
    """FFmpeg's own words for a failure, without the address that it would add."""
    return getattr(error, "strerror", None) or type(error).__name__
