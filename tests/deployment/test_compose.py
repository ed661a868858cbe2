"""What `docker compose up` starts is closed to the world, bounded, watched, and has no password that anybody knows."""

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docker-compose.yml").read_text()
CONTENT: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = CONTENT["services"]
WORKERS = ("ingest", "detect", "classify", "classify-gpu", "aggregate")
SERVERS = ("redis", "kafka", "postgres", "prometheus", "grafana")
PASSWORDS = {
    "POSTGRES_PASSWORD",
    "DATABASE_PASSWORD",
    "READER_PASSWORD",
    "REDIS_PASSWORD",
    "GRAFANA_ADMIN_PASSWORD",
    "LIVE_TOKEN",
}
VARIABLE = re.compile(r"(?<!\$)\$\{(\w+)(:?[-?])?([^}]*)\}")


def compose() -> list[str]:
    """How to call Docker Compose; it needs no engine to judge a file."""
    for command in (["docker", "compose"], ["docker-compose"]):
        if shutil.which(command[0]):
            answer = subprocess.run([*command, "version"], capture_output=True, text=True, check=False)
            if answer.returncode == 0 and not re.search(r"version:? v?1\.", answer.stdout):
                return command
    pytest.skip("no Docker Compose here")


def judged(environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [*compose(), "--file", "docker-compose.yml", "--env-file", "/dev/null"]
    profiles = ["--profile", "gpu", "--profile", "sample"]
    clean = {name: value for name, value in os.environ.items() if name not in PASSWORDS}
    return subprocess.run(
        [*command, *profiles, "config", "--quiet"],
        cwd=ROOT, env=clean | environment, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_docker_compose_takes_the_file_and_insists_on_every_password() -> None:
    given = dict.fromkeys(PASSWORDS, "x")
    accepted = judged(given)
    assert (accepted.returncode, accepted.stderr) == (0, "")
    for missing in PASSWORDS:
        refused = judged({name: value for name, value in given.items() if name != missing})
        assert refused.returncode != 0
        assert f"required variable {missing} is missing a value: set it in .env" in refused.stderr


def test_every_secret_is_asked_for_and_none_is_written_down() -> None:
    used = {(name, kind) for name, kind, _ in VARIABLE.findall(TEXT)}
    assert {name for name, kind in used if kind == ":?"} == PASSWORDS
    assert {name for name, kind in used if kind != ":?"} == {
        "GRAFANA_PORT", "LIVE_PORT", "REDIS_MAXMEMORY", "CPUS", "ALERT_WEBHOOK",
    }  # fmt: skip
    for name, service in SERVICES.items():
        for key, value in (service.get("environment") or {}).items():
            if re.search("PASSWORD|AUTH$|SECRET|TOKEN", key):
                assert re.fullmatch(r"\$\{\w+:\?[^}]+\}", value), f"{name}: {key}"
    assert not re.search(r"://\w*:[^$@\s]+@", TEXT)


def test_the_example_of_the_secrets_holds_none_and_names_all() -> None:
    lines = [line for line in (ROOT / ".env.example").read_text().splitlines() if line and not line.startswith("#")]
    assert {tuple(line.split("=")) for line in lines} == {(name, "") for name in PASSWORDS}
    assert ".env" in (ROOT / ".gitignore").read_text().splitlines()


def test_nothing_but_grafana_can_be_reached_from_outside() -> None:
    assert {name for name, service in SERVICES.items() if "ports" in service} == {"grafana", "live"}
    assert [port.partition(":")[0] for port in SERVICES["live"]["ports"]] == ["127.0.0.1"]
    assert CONTENT["networks"]["servers"] == {"internal": True}
    for name, service in SERVICES.items():
        assert "network_mode" not in service
        assert not service.get("privileged")
        assert set(service["networks"]) <= {"servers", "world"}
        assert ("world" in service["networks"]) == (name in {"grafana", "ingest", "live"}), name


@pytest.mark.parametrize("name", [*WORKERS, *SERVERS, "live"])
def test_each_part_is_watched_restarted_and_bounded(name: str) -> None:
    service = SERVICES[name]
    assert service["restart"] == "unless-stopped"
    assert service["healthcheck"]["test"][0] in {"CMD", "CMD-SHELL"}
    limits = service["deploy"]["resources"]["limits"]
    assert set(limits) == {"cpus", "memory", "pids"}
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["cap_drop"] == ["ALL"]
    assert "max-size" in service["logging"]["options"]


@pytest.mark.parametrize("name", WORKERS)
def test_workers_are_nobody_write_nothing_and_can_be_multiplied(name: str) -> None:
    service = SERVICES[name]
    assert service["user"] == "10001:10001"
    assert service["read_only"] is True
    assert service["tmpfs"]
    assert "/ready" in service["healthcheck"]["test"][-1]
    assert "container_name" not in service
    assert service["command"] == [name.removesuffix("-gpu")]
    assert set(service["depends_on"]) == {"redis", "kafka", "postgres"}


def test_the_settings_of_the_workers_are_settings() -> None:
    from contracts.loading import load_settings

    environment = {name: VARIABLE.sub("secret", value) for name, value in SERVICES["detect"]["environment"].items()} | {
        "AFFECTSTREAM_WORKER_ADDRESS": "0.0.0.0",
        "AFFECTSTREAM_WORKER_PORT": "9100",
    }
    settings = load_settings(None, environment, {})
    live = SERVICES["live"]["environment"] | {"AFFECTSTREAM_LIVE_TOKEN": "a token that is long enough"}
    assert load_settings(None, {k: v for k, v in live.items() if k != "<<"}, {}).live.address == "0.0.0.0"
    assert settings.redis.url == "redis://:secret@redis:6379/0"
    assert settings.storage.url == "postgresql://affectstream:secret@postgres:5432/affectstream"


def test_only_what_is_special_waits_for_a_profile() -> None:
    profiles = {name: service["profiles"] for name, service in SERVICES.items() if "profiles" in service}
    assert profiles.pop("classify-gpu") == ["gpu"]
    assert set(map(tuple, profiles.values())) == {("sample",)}
    assert all(":" in service["image"] and "latest" not in service["image"] for service in SERVICES.values())
