"""Disks that are full and files that cannot be written, also for root."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


def done(*command: str) -> bool:
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


@contextmanager
def small_disk(folder: Path, size: str = "2m") -> Iterator[Path]:
    folder.mkdir()
    if not done("mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)):
        pytest.skip("a small disk of its own needs the right to mount, as root has it")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


@contextmanager
def unwritable(file: Path) -> Iterator[None]:
    if os.geteuid() != 0:  # root may write whatever the permissions say, but not what is immutable
        file.chmod(0o444)
    elif not done("chattr", "+i", str(file)):
        pytest.skip("as root, a file is read-only only where chattr +i works")
    try:
        yield
    finally:
        if os.geteuid() == 0:
            subprocess.run(["chattr", "-i", file], check=True)
