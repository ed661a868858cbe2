"""Where settings come from: the defaults, then affectstream.toml, then AFFECTSTREAM_… variables, then flags.

Whoever speaks last wins. A key that does not exist is an error that names it, wherever it stands.
"""

import difflib
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, get_origin

from pydantic import BaseModel, ValidationError

from contracts.errors import SettingsError
from contracts.settings import Settings

FILE: Final = "affectstream.toml"
PREFIX: Final = "AFFECTSTREAM_"
CONFIG_VARIABLE: Final = PREFIX + "CONFIG"
NO_SETTINGS: Final = {CONFIG_VARIABLE, PREFIX + "GRAFANA_TOKEN", PREFIX + "GRAFANA_DB"}
"""Variables that say something else: the latter two, what `dashboards push` wants to know."""
ALIASES: Final = {PREFIX + "MODELS": "models.folder"}


def load_settings(file: Path | None, environment: Mapping[str, str], flags: Mapping[str, Any]) -> Settings:
    """Puts the settings together.

    `file` must exist if given; else the file that AFFECTSTREAM_CONFIG names must; else affectstream.toml is read if the
    current folder has one. `flags` maps dotted keys to values; None means that the flag was not given. Raises
    SettingsError, in one line, that names every wrong key or value and where it stands.
    """
    values: dict[str, Any] = {}
    origin: dict[str, str] = {}
    for where, key, value in (*_from_file(file, environment), *_from_environment(environment), *_from_flags(flags)):
        section, _, name = key.partition(".")
        values.setdefault(section, {})[name] = value
        origin[key] = where
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        raise SettingsError("; ".join(_complaint(problem, origin) for problem in error.errors())) from None


def keys() -> dict[str, Any]:
    """Every setting: dotted key -> its type."""
    sections = ((name, field.annotation) for name, field in Settings.model_fields.items())
    return {
        f"{section}.{name}": field.annotation
        for section, model in sections
        if isinstance(model, type) and issubclass(model, BaseModel)
        for name, field in model.model_fields.items()
    }


def _from_file(file: Path | None, environment: Mapping[str, str]) -> Iterator[tuple[str, str, Any]]:
    named = file or (Path(environment[CONFIG_VARIABLE]) if environment.get(CONFIG_VARIABLE) else None)
    path = named or Path(FILE)
    if named is None and not path.is_file():
        return
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SettingsError(f"no settings file {path}") from None
    except OSError as error:
        raise SettingsError(f"the settings file {path} cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"the settings file {path} is not valid TOML: {error}") from None
    for section, table in content.items():
        if section not in Settings.model_fields:
            raise SettingsError(f"{path}: {_unknown(section, Settings.model_fields)}")
        if not isinstance(table, dict):
            raise SettingsError(f"{path}: {section!r} must be a table; write [{section}], and its keys below")
        for name, value in table.items():
            yield str(path), f"{section}.{name}", value


def _from_environment(environment: Mapping[str, str]) -> Iterator[tuple[str, str, Any]]:
    known = {PREFIX + key.replace(".", "_").upper(): key for key in keys()} | ALIASES
    for variable, text in environment.items():
        if not variable.startswith(PREFIX) or variable in NO_SETTINGS:
            continue
        if variable not in known:
            raise SettingsError(f"environment: {_unknown(variable, known)}")
        key = known[variable]
        yield variable, key, _parsed(text, keys()[key])


def _from_flags(flags: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
    for key, value in flags.items():
        if value is not None:
            yield "command line", key, value


def _parsed(text: str, kind: Any) -> Any:
    """A variable's text; lists as `10,60` or as TOML, tables as TOML."""
    if get_origin(kind) not in {tuple, dict}:
        return text
    listed = f"[{text}]" if get_origin(kind) is tuple and not text.lstrip().startswith("[") else text
    try:
        return tomllib.loads(f"value = {listed}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _complaint(problem: Any, origin: Mapping[str, str]) -> str:
    key = ".".join(str(part) for part in problem["loc"])
    where = next((place for known, place in origin.items() if key == known or key.startswith(known + ".")), None)
    prefix = f"{where}: " if where else ""
    if problem["type"] == "extra_forbidden":
        return prefix + _unknown(key, keys())
    return f"{prefix}{key}: {problem['msg'].removeprefix('Value error, ')}"


def _unknown(key: str, known: Mapping[str, Any]) -> str:
    close = difflib.get_close_matches(key, known, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else f"; there are {', '.join(known)}"
    return f"unknown key {key!r}{hint}"
