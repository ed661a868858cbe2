"""The Prometheus of the compose file finds every worker."""

import re
import subprocess

import pytest
import yaml

from tests.services.prometheus import CONFIGURATION, MISSING, ROOT, prometheus_program


def test_in_compose_every_worker_is_found_at_its_port() -> None:
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    (job,) = yaml.safe_load(CONFIGURATION.read_text())["scrape_configs"]
    (found,) = job["dns_sd_configs"]
    workers = {name for name, service in services.items() if "/ready" in str(service.get("healthcheck"))}
    assert set(found["names"]) == workers
    assert (found["type"], "servers" in services["prometheus"]["networks"]) == ("A", True)
    assert all("servers" in services[name]["networks"] for name in workers)
    said = re.search(r"AFFECTSTREAM_WORKER_PORT=(\d+)", (ROOT / "Dockerfile").read_text())
    assert said
    assert found["port"] == int(said[1])


def test_prometheus_takes_its_configuration() -> None:
    tool = prometheus_program("promtool")
    if tool is None:
        pytest.skip(MISSING)
    done = subprocess.run([tool, "check", "config", CONFIGURATION], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
