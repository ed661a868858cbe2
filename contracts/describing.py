"""Settings as people read them: TOML, with the meaning of every key."""

import json
import textwrap
from collections.abc import Iterator
from typing import Any

from contracts.settings import Settings

HEADING = """\
# Every setting, its default and what it means. Copy to affectstream.toml and keep what you change.
# A variable says the same, AFFECTSTREAM_DETECTOR_NAME=haar for example; a flag of the command line has the last word.
"""


def as_toml(settings: Settings) -> str:
    """The settings as a TOML file that `load_settings` reads back; what is unset is commented out."""
    return "\n".join(_lines(settings))


def _lines(settings: Settings) -> Iterator[str]:
    for section in Settings.model_fields:
        table = getattr(settings, section)
        yield f"# {table.__doc__}"
        yield f"[{section}]"
        for key, field in type(table).model_fields.items():
            yield from (f"# {line}" for line in textwrap.wrap(field.description, 112))
            value = getattr(table, key)
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
