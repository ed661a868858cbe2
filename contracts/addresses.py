"""Addresses as the user types them: which are cameras, what may be shown of them, and what a camera is called."""

import hashlib
import re
import unicodedata
from typing import Final

from contracts.errors import InputError

WEBCAM: Final = r"\d+|webcam(:.*)?|/dev/video\d+"
STREAM: Final = r"(rtsps?|https?|rtmps?|udp|tcp|srt)://.*"
SECRETS: Final = (
    r"(?:[a-z]*(?:passw(?:or)?d|passwd|pwd|passphrase|token|secret|signature|api_?key)|pass|pw|key|auth|sig)"
)
HARMLESS: Final = {
    "camera", "cameraid", "ch", "channel", "codec", "compression", "end", "endtime", "fps", "framerate", "height", "id",
    "profile", "proto", "quality", "resolution", "size", "start", "starttime", "stream", "streamtype", "subtype", "t",
    "transport", "type", "unicast", "videocodec", "width",
}  # fmt: skip
"""Parameters of a query that may be shown. Cameras call passwords by many names, so of all others the value goes."""


def redact(address: str) -> str:
    """The address without its credentials, fit for messages, logs and the database.

    What stands before an @ goes, and the values of parameters, but for those that are known to be harmless; also in
    addresses that are mistyped.

        >>> redact("rtsp://admin:pa/ss@cam/live?token=abc&channel=1")
        'rtsp://***@cam/live?token=***&channel=1'
    """
    scheme, rest = re.fullmatch(r"((?:[A-Za-z][A-Za-z0-9+.-]*:?/{1,3})?)(.*)", address, re.DOTALL).groups()  # type: ignore[union-attr]
    authority = rest.split("/", 1)[0]
    if "@" in authority and (scheme or ":" in authority):
        rest = "***@" + rest[authority.rindex("@") + 1 :]
    elif (
        "@" in rest and ":" in authority
    ):  # a password with a slash in it, typed as it is; or a port, and an @ in the path
        rest = "***@" + rest[rest.rindex("@") + 1 :]
    path, mark, query = rest.partition("?")
    path = re.sub(rf"(?i)(?<![a-z])({SECRETS})=[^&;#\s]*", r"\1=***", path)
    return scheme + path + mark + re.sub(r"([^?&;#=\s]+)=([^&;#\s]*)", _harmless, query)


def _harmless(parameter: re.Match[str]) -> str:
    name, value = parameter.groups()
    return f"{name}={value}" if name.lower().replace("_", "") in HARMLESS else f"{name}=***"


def check_camera_id(name: str) -> str:
    """The name. Raises InputError for one with other characters, which an address or a file could not be made of."""
    if name != (clean := clean_camera_id(name)):
        raise InputError(f"{name!r} is no name for a camera; use letters, digits and . _ -: {clean}")
    return name


def clean_camera_id(name: str) -> str:
    """The name in letters, digits, dots, underscores and hyphens of ASCII alone; `camera` where nothing is left of it.

    Where letters of other scripts are lost, a digest of the name is put behind: other names must give other cameras.

        >>> clean_camera_id("señor, 1"), clean_camera_id("интервью 1")
        ('senor-1', '1-bcf1c3')
    """
    letters = unicodedata.normalize("NFKD", name)
    plain = letters.encode("ascii", "ignore").decode()
    clean = re.sub(r"[^A-Za-z0-9._-]+", "-", plain).strip("-.")[:64].rstrip("-.") or "camera"
    lost = any(letter.isalnum() and not letter.isascii() for letter in letters)
    digest = hashlib.sha256(unicodedata.normalize("NFC", name).encode("utf-8", "surrogateescape")).hexdigest()
    return f"{clean[:57]}-{digest[:6]}" if lost else clean
