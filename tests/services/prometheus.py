"""A real Prometheus, started for the tests and gone after them, with the configuration of docker/prometheus.yml."""

import json
import shutil
import subprocess
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import yaml

from tests.services.processes import end, free_port

ROOT: Final = Path(__file__).parents[2]
CONFIGURATION: Final = ROOT / "docker" / "prometheus.yml"
MISSING: Final = "no prometheus here: `make test` unpacks it (Debian: prometheus)"


def prometheus_program(name: str = "prometheus") -> str | None:
    """Where it is, or promtool."""
    return shutil.which(name) or shutil.which(str(ROOT / "build" / "prometheus" / name))


class Prometheus:
    """A server that runs."""

    def __init__(self, port: int) -> None:
        self.url: Final = f"http://127.0.0.1:{port}"

    def ask(self, expression: str, at: float | None = None) -> list[dict[str, Any]]:
        """The series of an instant query; raises ValueError, with the reason, where it is none."""
        wanted = {"query": expression} | ({"time": str(at)} if at else {})
        try:
            with urllib.request.urlopen(
                f"{self.url}/api/v1/query?{urllib.parse.urlencode(wanted)}", timeout=30
            ) as answer:
                content = json.load(answer)
        except urllib.error.HTTPError as error:
            raise ValueError(json.load(error)["error"]) from None
        series: list[dict[str, Any]] = content["data"]["result"]
        return series


@contextmanager
def prometheus_server(targets: Sequence[str], *, every: str = "1s") -> Iterator[Prometheus]:
    """Watches these HOST:PORTs, each `every` so often."""
    program = prometheus_program()
    if program is None:
        raise FileNotFoundError(MISSING)
    folder, port = Path(tempfile.mkdtemp(prefix="affectstream-prometheus-")), free_port()
    content = yaml.safe_load(CONFIGURATION.read_text())
    content["global"] |= {"scrape_interval": every, "scrape_timeout": every}
    for job in content["scrape_configs"]:
        del job["dns_sd_configs"]  # there are no such names here
        job["static_configs"] = [{"targets": list(targets)}]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(content))
    flags = {
        "config.file": folder / "prometheus.yml", "storage.tsdb.path": folder / "data", "log.level": "warn",
        "web.listen-address": f"127.0.0.1:{port}", "web.console.libraries": folder, "web.console.templates": folder,
    }  # fmt: skip
    try:
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [program, *(f"--{name}={value}" for name, value in flags.items())], stdout=log, stderr=log, cwd=folder
            )
        try:
            _wait(process, f"http://127.0.0.1:{port}/-/ready", folder / "log")
            yield Prometheus(port)
        finally:
            end(process)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _wait(process: "subprocess.Popen[bytes]", url: str, log: Path, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(0.05)
    process.kill()
    raise RuntimeError(f"Prometheus did not start: {log.read_text(errors='replace')[-800:]}")
