"""The pictures on their way to the viewers: one websocket for each, for all cameras that it can see.

A picture goes out when the viewer has shown the one before, so that a slow viewer gets fewer and never old ones.
"""

import asyncio
import json
from contextlib import suppress
from typing import Final

from starlette.websockets import WebSocket, WebSocketDisconnect

from dashboards.live.hub import Hub

LOOK_EVERY: Final = 0.04
MOST_CAMERAS: Final = 64
LONGEST_NAME: Final = 255


class PictureStream:
    """One viewer. It says {"watch": [camera, …]} when what it can see changes, and {"shown": camera} for each picture.

    It is sent binary messages: one byte with the length of the camera's name, the name in UTF-8, the JPEG.
    """

    def __init__(self, hub: Hub, socket: WebSocket) -> None:
        self._hub: Final = hub
        self._socket: Final = socket
        self._watched: set[str] = set()
        self._sent: Final[dict[str, int]] = {}
        self._under_way: Final[set[str]] = set()

    async def run(self) -> None:
        """Until the viewer goes."""
        await self._socket.accept()
        sending = asyncio.create_task(self._send())
        with suppress(WebSocketDisconnect, ValueError, AttributeError, TypeError):
            while True:
                self._take(json.loads(await self._socket.receive_text()))
        sending.cancel()

    def _take(self, said: dict[str, object]) -> None:
        if isinstance(watched := said.get("watch"), list):
            self._watched = {str(camera) for camera in watched[:MOST_CAMERAS]}
            self._under_way.intersection_update(self._watched)
        self._under_way.discard(str(said.get("shown", "")))

    async def _send(self) -> None:
        with suppress(WebSocketDisconnect, RuntimeError):
            while True:
                for camera_id in self._watched - self._under_way:
                    await self._send_picture(camera_id)
                await asyncio.sleep(LOOK_EVERY)

    async def _send_picture(self, camera_id: str) -> None:
        before = self._sent.get(camera_id, 0)
        if not self._hub.has_picture(camera_id, before):
            return
        number, jpeg = await asyncio.to_thread(self._hub.annotated_after, camera_id, before)
        name = camera_id.encode()[:LONGEST_NAME]
        if jpeg is not None:
            self._sent[camera_id] = number
            self._under_way.add(camera_id)
            await self._socket.send_bytes(bytes([len(name)]) + name + jpeg)
