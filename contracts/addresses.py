"""Addresses as the user types them: which are cameras, what may be shown of them, and what a camera is called."""

import re
import unicodedata
from typing import Final

WEBCAM: Final = r"\d+|webcam(:.*)?|/dev/video\d+"
STREAM: Final = r"(rtsps?|https?|rtmps?|udp|tcp|srt)://.*"
SECRETS = r"(?:[a-z]*(?:passw(?:or)?d|passwd|pwd|passphrase|token|secret|signature|api_?key)|pass|pw|key|auth|sig)"


def redact(address: str) -> str:
    """The address without its credentials, fit for messages, logs and the database.

    What stands before an @ goes, and the values of parameters that carry secrets, also in addresses that are mistyped.

        >>> redact("rtsp://admin:pa/ss@cam/live?token=abc&channel=1")
        'rtsp://***@cam/live?token=***&channel=1'
    """
    scheme, rest = re.fullmatch(r"((?:[A-Za-z][A-Za-z0-9+.-]*:?/{1,3})?)(.*)", address, re.DOTALL).groups()  # type: ignore[union-attr]
    authority = rest.split("/", 1)[0]
    if "@" in authority and (scheme or ":" in authority):
        rest = "***@" + rest[authority.rindex("@") + 1 :]
    elif "@" in rest and re.search(r":(?!\d*$)", authority):  # a password with a slash in it, typed as it is
        rest = "***@" + rest[rest.rindex("@") + 1 :]
    return scheme + re.sub(rf"(?i)(?<![a-z])({SECRETS})=[^&;#\s]*", r"\1=***", rest)


def clean_camera_id(name: str) -> str:
    """The name in letters, digits, dots, underscores and hyphens alone; `camera` where nothing is left of it."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9._-]+", "-", plain).strip("-.")[:64] or "camera"
