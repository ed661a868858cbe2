"""A camera for trying things out: publishes the built-in scene, over and over, to an RTSP server as it happens.

python docker/sample_camera.py rtsp://HOST:8554/sample
"""

import sys
import time
from fractions import Fraction
from itertools import count

import av

from ingest.demo_scene import CYCLE, HEIGHT, WIDTH, Scene

FPS = 15


def publish(url: str) -> None:
    """Until the server goes away."""
    scene = Scene()
    with av.open(url, "w", format="rtsp", options={"rtsp_transport": "tcp"}) as camera:
        stream = camera.add_stream("libx264", rate=FPS, options={"preset": "ultrafast", "tune": "zerolatency"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.codec_context.gop_size = 2 * FPS
        stream.codec_context.time_base = Fraction(1, FPS)
        began = time.monotonic()
        for number in count():
            picture = av.VideoFrame.from_ndarray(scene.draw(number / FPS % CYCLE), format="bgr24")
            picture.pts = number
            time.sleep(max(0.0, began + number / FPS - time.monotonic()))
            camera.mux(stream.encode(picture))


if __name__ == "__main__":
    while True:
        try:
            publish(sys.argv[1])
        except (av.FFmpegError, OSError) as error:
            print(f"{error}; trying again", file=sys.stderr, flush=True)
            time.sleep(2)
