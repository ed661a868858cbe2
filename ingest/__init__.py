"""A source becomes Frames: recordings, network cameras, webcams and a built-in demo.

    >>> from contracts.messages import Frame
    >>> from contracts.settings import IngestSettings
    >>> from ingest import open_source
    >>> source = open_source("demo:1", camera_id=None, settings=IngestSettings())
    >>> sum(isinstance(event, Frame) for event in source.events())
    25

A new kind of source is a module with a function `source(address, camera_id, settings) -> Source`, and one line in
`KINDS`.
"""

import importlib
import re

from contracts.addresses import STREAM, WEBCAM, check_camera_id, redact
from contracts.errors import InputError
from contracts.settings import IngestSettings
from contracts.stages import Source

__all__ = ["KINDS", "open_source", "redact"]

KINDS: tuple[tuple[str, str], ...] = (
    (r"demo(:.*)?", "ingest.demo"),
    (WEBCAM, "ingest.webcam"),
    (STREAM, "ingest.streams"),
    (r"(?!(?!file:)[a-z][a-z0-9+.-]*://).*", "ingest.files"),
)
"""What an address looks like, and the module that reads it; the first match wins. Modules are loaded when needed."""
ADDRESSES = (
    "a file, rtsp://, rtsps://, http://, https://, rtmp://, udp://, tcp:// or srt://…, a webcam's number, or demo"
)


def open_source(address: str, *, camera_id: str | None, settings: IngestSettings) -> Source:
    """The source at an address: a file's path, a camera's URL, a webcam's number, `demo` or `demo:SECONDS`.

    Recordings are looked at here, so that a bad one is refused before anything starts; live sources are first contacted
    when their events are read. `camera_id` is the file's stem, the host, `webcam0` or `demo` where it is None.

    Raises:
        InputError: the address can never be read: no such file, not a video, an unknown scheme; or that is no name.
        SettingsError: `settings.start` is no time.
    """
    if camera_id is not None:
        check_camera_id(camera_id)
    if not address.strip():  # as a path it would be the current folder
        raise InputError(f"the address is empty; give {ADDRESSES}")
    for looks, module in KINDS:
        if re.fullmatch(looks, address, re.IGNORECASE | re.DOTALL):
            source: Source = importlib.import_module(module).source(address, camera_id, settings)
            return source
    raise InputError(f"{redact(address)}: cannot read this kind of address; give {ADDRESSES}")
