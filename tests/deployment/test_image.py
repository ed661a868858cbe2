"""The image is made from pinned things alone, runs as nobody, and has all of the program in it."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
PACKAGES = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]["find"]["include"]
LOCKS = ("requirements.lock", "requirements.runtime.lock", "requirements.gpu.lock")


def pins(lock: str) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9._-]+)(?:\[[\w,-]+\])?==(\S+)", (ROOT / lock).read_text(), re.MULTILINE))


def test_every_room_goes_in() -> None:
    rooms = {pattern.removesuffix("*") for pattern in PACKAGES}
    assert rooms == set(re.findall(r"^COPY (\w+) \w+$", DOCKERFILE, re.MULTILINE))
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert ignored[1] == "*"
    assert {f"!{room}" for room in rooms} <= set(ignored)


def test_it_runs_as_nobody_and_tells_how_it_is() -> None:
    base = DOCKERFILE.partition(" AS base")[2]
    assert "USER 10001:10001" in base
    assert "HEALTHCHECK" in base
    assert "/ready" in base
    assert "USER root" not in DOCKERFILE


def test_nothing_floats() -> None:
    installs = [line for line in DOCKERFILE.splitlines() if re.search("pip (install|wheel)", line)]
    assert len(installs) == 5
    assert all("--require-hashes" in line or "--no-index" in line for line in installs)
    assert not re.search(r"^RUN.*\bapt\b", DOCKERFILE, re.MULTILINE)
    assert "affectstream models pull" in DOCKERFILE  # which knows the checksum


@pytest.mark.parametrize("lock", LOCKS)
def test_every_package_is_pinned_by_its_hash(lock: str) -> None:
    text = (ROOT / lock).read_text()
    blocks = re.split(r"(?m)^(?=[a-z0-9])", re.sub(r"(?m)^\s*#.*\n?", "", text))[1:]
    assert len(blocks) > 50
    assert all("==" in block and "--hash=sha256:" in block for block in blocks)
    assert "://" not in text


def test_the_locks_agree() -> None:
    every, runtime, gpu = map(pins, LOCKS)
    assert runtime.pop("tensorflow-cpu") == every["tensorflow"]  # the same without what a GPU needs: 1 GB less
    assert runtime.items() <= every.items()
    assert runtime.items() <= gpu.items()
    assert {name.partition("-")[0] for name in gpu.keys() - runtime.keys()} == {"tensorflow", "nvidia"}
    assert {"pytest", "mypy", "ruff"} <= every.keys() - runtime.keys()
