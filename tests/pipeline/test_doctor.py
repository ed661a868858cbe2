"""The doctor finds what is broken, touches nothing, and shows no password."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from contracts.settings import Settings
from pipeline.doctor import Finding, examine
from storage import open_store
from storage.health import is_there
from tests.pipeline.conftest import Command
from tests.services.kafka import MockCluster
from tests.services.postgres import MISSING, PASSWORD, postgres_programs, postgres_server
from tests.services.redis import MISSING as NO_REDIS
from tests.services.redis import RedisServer, redis_program, redis_server


def found(what: str, **sections: dict[str, object]) -> Finding:
    """One finding; what comes after it is not examined."""
    settings = Settings.model_validate({"detector": {"name": "haar"}, **sections})
    return next(finding for finding in examine(settings, distributed=True) if finding.what == what)


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    if redis_program() is None:
        pytest.skip(NO_REDIS)
    with redis_server(password="geheim") as server:
        yield server


def test_a_fresh_installation_is_well_and_is_left_as_it_is(affectstream: Command, tmp_path: Path) -> None:
    done = affectstream("doctor")
    assert (done.code, done.err) == (0, "")
    assert "broken" not in done.out
    assert "default/ferplus" in done.out
    assert list(tmp_path.iterdir()) == []


def test_what_is_broken_is_named_and_ends_with_1(affectstream: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AFFECTSTREAM_STORAGE_URL", "postgresql://me:geheim@127.0.0.1:1/x")
    monkeypatch.setenv("AFFECTSTREAM_REDIS_URL", "redis://:geheim@127.0.0.1:1/0")
    monkeypatch.setenv("AFFECTSTREAM_KAFKA_BROKERS", "127.0.0.1:1")
    monkeypatch.setenv("AFFECTSTREAM_CLASSIFIER_MODEL", "nope")
    done = affectstream("doctor", "--distributed")
    assert done.code == 1
    broken = {line.split()[0] for line in done.out.splitlines() if " broken " in line}
    assert broken == {"classifier", "database", "Redis", "Kafka"}, done.out
    assert "geheim" not in done.out + done.err


@pytest.mark.parametrize(
    ("detector", "download", "verdict"), [("auto", True, "hint"), ("auto", False, "hint"), ("yunet", False, "broken")]
)
def test_a_missing_detector_model_is_broken_only_where_it_cannot_be_had(
    tmp_path: Path, detector: str, download: bool, verdict: str
) -> None:
    models = {"folder": tmp_path, "download": download}
    finding = found("detector", detector={"name": detector}, models=models)
    assert (finding.verdict, finding.advice) == (verdict, "affectstream models pull")
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_detector_model_is_broken(tmp_path: Path) -> None:
    from detector.models import YUNET

    (tmp_path / YUNET.name).write_bytes(b"half")
    finding = found("detector", detector={"name": "yunet"}, models={"folder": tmp_path})
    assert finding.verdict == "broken"
    assert "is damaged" in finding.found


def test_a_database_is_looked_at_and_not_upgraded() -> None:
    if postgres_programs() is None:
        pytest.skip(MISSING)
    with postgres_server() as url:
        storage: dict[str, object] = {"url": url}
        fresh = found("database", storage=storage)
        assert fresh.verdict == "ok"
        assert "empty; the tables are made when they are needed" in fresh.found
        assert found("database", storage=storage) == fresh
        open_store(Settings.model_validate({"storage": storage}).storage).close()
        ready = found("database", storage=storage)
        assert ready.verdict == "ok"
        assert "schema 00" in ready.found
        assert PASSWORD not in ready.found
        wrong: dict[str, object] = {"url": url.replace(PASSWORD, "mistaken")}
        refused = found("database", storage=wrong)
        assert refused.verdict == "broken"
        assert "wrong user or password" in refused.found
        assert "mistaken" not in refused.found


def test_a_file_does_for_one_process_and_not_for_workers(tmp_path: Path) -> None:
    storage: dict[str, object] = {"url": f"sqlite:///{tmp_path}/a.db"}
    assert found("database", storage=storage).verdict == "ok"
    assert found("workers' database", storage=storage).verdict == "broken"
    (tmp_path / "a.db").write_text("no database " * 100)
    assert found("database", storage=storage).verdict == "broken"


def test_a_look_at_a_file_leaves_every_byte_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "a.db"
    storage: dict[str, object] = {"url": str(file)}
    settings = Settings.model_validate({"storage": storage})
    open_store(settings.storage).close()
    before = (file.read_bytes(), file.stat().st_mtime_ns)
    assert "schema 00" in found("database", storage=storage).found
    assert is_there(settings.storage)
    assert (file.read_bytes(), file.stat().st_mtime_ns) == before
    assert list(tmp_path.iterdir()) == [file]


def test_redis_is_looked_at(redis: RedisServer) -> None:
    section: dict[str, object] = {"url": redis.url}
    well = found("Redis", redis=section)
    assert well.verdict == "ok"
    assert well.found.endswith("with AOF")
    with redis.client() as client:
        assert client.keys("*") == []
        client.set("affectstream:shards", 9)
        assert "redis.shards is 4 here, 9 elsewhere" in found("Redis", redis=section).advice
        client.delete("affectstream:shards")
        client.config_set("appendonly", "no")
        assert found("Redis", redis=section).verdict == "hint"
    wrong = found("Redis", redis={"url": redis.url.replace("geheim", "mistaken")})
    assert wrong.verdict == "broken"
    assert "refuses this user or password" in wrong.found
    assert "mistaken" not in wrong.found


def test_kafka_is_looked_at() -> None:
    cluster = MockCluster()
    finding = found("Kafka", kafka={"brokers": cluster.brokers, "topic": "somewhere"})
    assert finding.verdict == "ok"
