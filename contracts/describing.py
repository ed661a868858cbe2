"""Settings as people read them: TOML, with the meaning of every key."""

import json
import textwrap
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from contracts.addresses import redact
from contracts.settings import Settings

HEADING = """\
# Every setting, its default and what it means. Copy to affectstream.toml and keep what you change.
# A variable says the same, AFFECTSTREAM_DETECTOR_NAME=haar for example; a flag of the command line has the last word.
"""


SECRET: Final[Mapping[str, Callable[[str], str]]] = {
    "storage.url": redact, "redis.url": redact, "live.token": lambda _: "***",
}  # fmt: skip
"""Settings that hold a password or are one, and what may be shown of them."""


def as_toml(settings: Settings, *, secrets: bool = False) -> str:
    """The settings as a TOML file; what is unset is commented out.

    With `secrets`, `load_settings` reads the same back; without, the file may be shown to anybody.
    """
    return "\n".join(_lines(settings, secrets=secrets))


def _lines(settings: Settings, *, secrets: bool) -> Iterator[str]:
    for section in Settings.model_fields:
        table = getattr(settings, section)
        yield f"# {table.__doc__}"
        yield f"[{section}]"
        for key, field in type(table).model_fields.items():
            yield from (f"# {line}" for line in textwrap.wrap(field.description, 112))
            value = getattr(table, key)
            if value is not None and not secrets and (shown := SECRET.get(f"{section}.{key}")):
                value = shown(value)
            example = _toml(field.examples[0]) if field.examples else '""'
            yield f"# {key} = {example}" if value is None else f"{key} = {_toml(value)}"
        yield ""


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml(item)}" for key, item in value.items()) + " }"
    if isinstance(value, tuple | list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    return json.dumps(str(value), ensure_ascii=False)
