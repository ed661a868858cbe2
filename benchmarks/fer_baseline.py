"""The `fer` package over a video, as its documentation uses it: every frame through `detect_emotions`.

Runs in an environment of its own, so it imports nothing of ours: python fer_baseline.py VIDEO [FRAMES]. Prints JSON.
"""

import json
import sys
import time

import cv2
from fer.fer import FER


def main() -> None:
    video, limit = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 0
    detector = FER(mtcnn=False)
    capture = cv2.VideoCapture(video)
    ok, picture = capture.read()
    detector.detect_emotions(picture)  # loads and traces; not counted
    capture = cv2.VideoCapture(video)
    frames = faces = 0
    started = time.perf_counter()
    while not limit or frames < limit:
        ok, picture = capture.read()
        if not ok:
            break
        frames += 1
        faces += len(detector.detect_emotions(picture))
    seconds = time.perf_counter() - started
    print(json.dumps({"frames": frames, "faces": faces, "seconds": seconds}))


if __name__ == "__main__":
    main()
