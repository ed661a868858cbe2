"""Grafana's published TypeScript types and the compiler for them, fetched once by npm into build/grafana-schema."""

import fcntl
import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

VERSION: Final = "11.6.0"  # of the Grafana in docker-compose.yml
PACKAGES: Final = (f"@grafana/schema@{VERSION}", "typescript@5.8.3", "tslib@2.8.1")
CACHE: Final = Path(__file__).parents[2] / "build" / "grafana-schema"
MISSING: Final = "no npm here: `make test` installs it (Debian: npm)"
FETCH_SECONDS: Final = 120.0
OPTIONS: Final = {
    "strict": True, "noEmit": True, "skipLibCheck": True, "module": "preserve", "moduleResolution": "bundler",
    "target": "es2022", "types": [],
}  # fmt: skip


def fetch() -> str | None:
    """Fetches what is not there yet. None, or why it cannot be had."""
    marker = CACHE / "fetched"
    if not (shutil.which("npm") and shutil.which("node")):
        return MISSING
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if marker.exists() and marker.read_text() == " ".join(PACKAGES):
            return None
        (CACHE / "package.json").write_text('{"private": true}\n')
        quiet = ("--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts", "--save-exact", "--silent")
        try:
            subprocess.run(
                ["npm", "install", *quiet, *PACKAGES], cwd=CACHE, check=True, capture_output=True, timeout=FETCH_SECONDS
            )
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            return f"npm cannot fetch {PACKAGES[0]}: {error}"
        marker.write_text(" ".join(PACKAGES))
    return None


def errors(files: Mapping[str, str]) -> dict[str, list[str]]:
    """Compiles TypeScript: name -> text as name -> what is wrong with it."""
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        for name, text in files.items():
            (Path(folder) / f"{name}.ts").write_text(text, encoding="utf-8")
        configuration = {"compilerOptions": OPTIONS, "include": ["*.ts"]}
        (Path(folder) / "tsconfig.json").write_text(json.dumps(configuration))
        tsc = ["node", f"{CACHE}/node_modules/typescript/bin/tsc", "--pretty", "false", "-p", folder]
        done = subprocess.run(tsc, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    found: dict[str, list[str]] = {name: [] for name in files}
    for line in done.stdout.splitlines():
        if said := re.match(r"(\w[\w-]*)\.ts\(", line):
            found[said[1]].append(line)
        elif not line.startswith(" "):
            raise RuntimeError(f"tsc: {line}")
    if done.returncode and not any(found.values()):
        raise RuntimeError(f"tsc ended with {done.returncode}: {done.stdout}{done.stderr}")
    return found
