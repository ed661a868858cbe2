"""What may keep affectstream from working here: each check looks, touches nothing, and says what to do."""

import platform
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import msgspec

from contracts.errors import AffectstreamError
from contracts.settings import Settings

Verdict: TypeAlias = Literal["ok", "hint", "broken"]
PACKAGES: Final = ("tensorflow", "keras", "opencv-python-headless", "av", "numpy", "sqlalchemy", "psycopg2-binary")
DISTRIBUTED_PACKAGES: Final = ("redis", "confluent-kafka", "faust-streaming")
VARIANTS: Final = {"tensorflow": ("tensorflow-cpu",)}
LITTLE: Final = 2 * 2**30
VERY_LITTLE: Final = 200 * 2**20


class Finding(msgspec.Struct, frozen=True):
    """What a check found: `hint` works but could be better, `broken` does not work as it is configured."""

    what: str
    verdict: Verdict
    found: str
    advice: str = ""


def examine(settings: Settings, *, distributed: bool = False, gpu: bool = False) -> Iterator[Finding]:
    """All checks, one after the other."""
    checks: list[tuple[str, Callable[[Settings], Finding]]] = [
        ("Python", _python),
        ("packages", lambda settings: _packages(PACKAGES)),
        ("detector", _detector),
        ("classifier", _classifier),
        ("database", _database),
        ("disk", _disk),
    ]
    if distributed:
        checks += [
            ("packages for servers", lambda settings: _packages(DISTRIBUTED_PACKAGES)),
            ("workers' database", _shared_database),
            ("Redis", _redis),
            ("Kafka", _kafka),
        ]
    if gpu:
        checks.append(("GPU", _gpu))
    for what, check in checks:
        try:
            finding = check(settings)
        except AffectstreamError as error:
            finding = Finding("", "broken", " ".join(str(error).split()))
        except Exception as error:  # noqa: BLE001  (the doctor must not fall ill)
            finding = Finding("", "broken", f"unexpected {type(error).__name__}")
        yield msgspec.structs.replace(finding, what=what)


def _python(settings: Settings) -> Finding:
    return Finding("", "ok", f"{platform.python_version()} on {platform.system()} {platform.machine()}")


def _packages(names: Sequence[str]) -> Finding:
    found, missing = [], []
    for name in names:
        for variant in (name, *VARIANTS.get(name, ())):
            with suppress(PackageNotFoundError):
                found.append(f"{variant} {version(variant)}")
                break
        else:
            missing.append(name)
    if missing:
        return Finding("", "broken", f"missing: {', '.join(missing)}", "pip install -r requirements.lock")
    return Finding("", "ok", ", ".join(found))


def _detector(settings: Settings) -> Finding:
    from detector import yunet_path
    from detector.models import UnavailableError

    if settings.detector.name == "haar":
        return Finding("", "ok", "haar, which comes with OpenCV")
    try:
        path = yunet_path(settings.models.model_copy(update={"download": False}))
    except UnavailableError:
        pull = "affectstream models pull"
        if settings.detector.name == "auto":
            until = "yunet is fetched when it is first used" if settings.models.download else "haar stands in for it"
            return Finding("", "hint", f"yunet is not here; {until}", pull)
        if settings.models.download:
            return Finding("", "hint", "yunet is not here; it is fetched when it is first used", pull)
        return Finding("", "broken", "yunet is not here, and models.download is off", pull)
    return Finding("", "ok", f"yunet, {path}, checksum as it should be")


def _classifier(settings: Settings) -> Finding:
    from classifier.card import read_card
    from classifier.folders import find_model

    card = read_card(find_model(settings.classifier.model, settings.models))
    head = settings.classifier.head or card.default_head
    if head not in card.heads:
        return Finding("", "broken", f"{card.name} has no head {head!r}", f"classifier.head: {', '.join(card.heads)}")
    return Finding("", "ok", f"{card.name}/{head}, {card.parameters:,} parameters, checksum as it should be")


def _database(settings: Settings) -> Finding:
    from storage.health import look

    return Finding("", "ok", look(settings.storage))


def _shared_database(settings: Settings) -> Finding:
    if settings.storage.url.startswith("postgres"):
        return Finding("", "ok", "Postgres")
    return Finding("", "broken", "storage.url is a file", "workers share a Postgres: storage.url = postgresql://…")


def _disk(settings: Settings) -> Finding:
    folder = Path.cwd()
    if not settings.storage.url.startswith("postgres"):
        path = Path(settings.storage.url.removeprefix("sqlite:///")).expanduser()
        folder = path.parent if path.parent.is_dir() else folder
    free = shutil.disk_usage(folder).free
    folder = folder.resolve()
    found = f"{free / 2**30:.1f} GiB free in {folder}"
    if free < VERY_LITTLE:
        return Finding("", "broken", found, "free some space")
    if free < LITTLE:
        return Finding("", "hint", found, "a camera with a few faces fills about 1 GiB in a day")
    return Finding("", "ok", found)


def _redis(settings: Settings) -> Finding:
    from pipeline.link import OLDEST, Link

    link = Link(settings.redis, stopping=threading.Event(), say=lambda line: None, name="affectstream-doctor")
    try:
        server: Any = link.once(lambda redis: redis.info("server"))
        saving: Any = link.once(lambda redis: redis.info("persistence"))
        memory: Any = link.once(lambda redis: redis.info("memory"))
        shards: Any = link.once(lambda redis: redis.get(f"{settings.redis.prefix}:shards"))
    finally:
        link.close()
    number = str(server["redis_version"])
    found = f"{number} at {link.place}"
    if tuple(int(part) for part in number.split(".")[:2] if part.isdigit()) < OLDEST:
        return Finding("", "broken", found, f"affectstream needs {OLDEST[0]}.{OLDEST[1]}")
    if shards is not None and int(shards) != settings.redis.shards:
        return Finding("", "broken", found, f"redis.shards is {settings.redis.shards} here, {int(shards)} elsewhere")
    if memory.get("maxmemory") and memory.get("maxmemory_policy", "noeviction") != "noeviction":
        return Finding("", "hint", f"{found} drops frames when it is full", "maxmemory-policy noeviction")
    if not saving.get("aof_enabled"):
        return Finding("", "hint", f"{found}, without AOF", "appendonly yes: else a restart loses the frames that wait")
    return Finding("", "ok", f"{found}, with AOF")


def _kafka(settings: Settings) -> Finding:
    from pipeline.topic import Onlooker

    kafka = settings.kafka
    onlooker = Onlooker(kafka)
    try:
        partitions = onlooker.partitions()
    finally:
        onlooker.close()
    if not partitions:
        return Finding("", "ok", f"{kafka.brokers}; the topic {kafka.topic} is made when it is needed")
    return Finding("", "ok", f"{kafka.brokers}; topic {kafka.topic} with {len(partitions)} partitions")


def _gpu(settings: Settings) -> Finding:
    from classifier.quiet import choose_backend, native_stderr_held_back

    choose_backend()
    with native_stderr_held_back():
        import keras

        from classifier.device import gpu

        card, jax = gpu(), keras.backend.backend() == "jax"
    sees, package = ("JAX", "jax[cuda13]") if jax else ("TensorFlow", "tensorflow[and-cuda]")
    if card is not None:
        return Finding("", "ok", f"{card}, by {sees}")
    return Finding("", "hint", f"{sees} sees none", f"pip install '{package}', and NVIDIA's driver")
