"""The model file is whole and checked or not there; what cannot be had is said once, in one line."""

import hashlib
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from contracts.errors import ModelError
from contracts.settings import DetectorSettings, ModelsSettings
from contracts.stages import CropSpec
from detector import choose, models, open_detector
from detector.models import YUNET, ModelFile, UnavailableError

RIGHT = b"the right bytes " * 1000
NOTHING_LISTENS = "http://127.0.0.1:9/model.onnx"


class Answers(BaseHTTPRequestHandler):
    """/right, /wrong bytes, /truncated half-way, anything else 404; counts what was asked for."""

    asked: list[str] = []  # noqa: RUF012  # shared by the handlers on purpose

    def do_GET(self) -> None:
        self.asked.append(self.path)
        if self.path not in ("/right", "/wrong", "/truncated"):
            self.send_error(404)
            return
        body = b"wrong" * 100 if self.path == "/wrong" else RIGHT
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if self.path == "/truncated" else body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    Answers.asked.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as served:
        thread = threading.Thread(target=served.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"http://127.0.0.1:{served.server_address[1]}"
        served.shutdown()
        thread.join()


@pytest.fixture
def unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "YUNET", YUNET._replace(url=NOTHING_LISTENS))
    monkeypatch.setattr(models.yunet_path, "__defaults__", (YUNET._replace(url=NOTHING_LISTENS),))
    monkeypatch.setattr(models.pull, "__defaults__", (YUNET._replace(url=NOTHING_LISTENS),))


def file(url: str) -> ModelFile:
    return ModelFile("model.onnx", url, hashlib.sha256(RIGHT).hexdigest())


def test_a_missing_model_is_fetched_once(server: str, tmp_path: Path) -> None:
    where = ModelsSettings(folder=tmp_path / "new" / "models")
    for _ in range(3):
        assert models.yunet_path(where, file(f"{server}/right")).read_bytes() == RIGHT
    assert Answers.asked == ["/right"]


def test_several_workers_fetch_it_once_between_them(server: str, tmp_path: Path) -> None:
    where = ModelsSettings(folder=tmp_path)
    workers = [threading.Thread(target=models.yunet_path, args=(where, file(f"{server}/right"))) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert Answers.asked == ["/right"]


@pytest.mark.parametrize(
    ("path", "reason"), [("/wrong", "another checksum"), ("/truncated", "half-way|checksum"), ("/gone", "answered 404")]
)
def test_a_failed_fetch_leaves_nothing_and_says_why(server: str, tmp_path: Path, path: str, reason: str) -> None:
    with pytest.raises(UnavailableError, match=reason) as failure:
        models.yunet_path(ModelsSettings(folder=tmp_path), file(server + path))
    assert list(tmp_path.iterdir()) == []
    assert "\n" not in str(failure.value)


def test_a_failure_is_remembered_until_the_user_pulls(server: str, tmp_path: Path) -> None:
    where, wrong = ModelsSettings(folder=tmp_path), file(f"{server}/wrong")
    for _ in range(3):
        with pytest.raises(UnavailableError):
            models.yunet_path(where, wrong)
    assert len(Answers.asked) == 1
    with pytest.raises(UnavailableError):
        models.pull(where, wrong)
    assert len(Answers.asked) == 2


def test_no_fetch_where_it_is_not_allowed(server: str, tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="affectstream models pull"):
        models.yunet_path(ModelsSettings(folder=tmp_path, download=False), file(f"{server}/right"))
    assert Answers.asked == []


def test_pull_replaces_a_damaged_file_and_keeps_it_where_it_cannot(server: str, tmp_path: Path) -> None:
    damaged = tmp_path / "model.onnx"
    damaged.write_bytes(b"half")
    with pytest.raises(UnavailableError):
        models.pull(ModelsSettings(folder=tmp_path), file(f"{server}/truncated"))
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]
    assert damaged.read_bytes() == b"half"
    assert models.pull(ModelsSettings(folder=tmp_path), file(f"{server}/right")).read_bytes() == RIGHT


@pytest.mark.parametrize("name", ["auto", "yunet"])
def test_a_damaged_model_is_an_error_and_never_silently_worse(tmp_path: Path, name: str) -> None:
    (tmp_path / YUNET.name).write_bytes(b"half a model")
    settings = DetectorSettings.model_validate({"name": name})
    with pytest.raises(ModelError) as failure:
        open_detector(settings, ModelsSettings(folder=tmp_path), CropSpec(), note=pytest.fail)
    message = str(failure.value)
    for part in (str(tmp_path), YUNET.sha256, hashlib.sha256(b"half a model").hexdigest(), "affectstream models pull"):
        assert part in message
    assert "\n" not in message


@pytest.mark.usefixtures("unreachable")
def test_auto_falls_back_to_haar_and_says_what_it_costs(tmp_path: Path) -> None:
    notes: list[str] = []
    settings = choose(DetectorSettings(name="auto"), ModelsSettings(folder=tmp_path), note=notes.append)
    workers = [
        open_detector(settings, ModelsSettings(folder=tmp_path), CropSpec(), note=notes.append) for _ in range(2)
    ]
    assert [worker.name for worker in workers] == ["haar", "haar"]
    assert len(notes) == 1
    assert "no connection" in notes[0]
    assert "%" in notes[0]
    assert "affectstream models pull" in notes[0]
    assert "\n" not in notes[0]


@pytest.mark.usefixtures("unreachable")
def test_yunet_by_name_is_never_replaced(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="could not be fetched"):
        open_detector(DetectorSettings(name="yunet"), ModelsSettings(folder=tmp_path), CropSpec(), note=pytest.fail)


def test_auto_takes_yunet_where_it_is(model_folder: Path) -> None:
    where = ModelsSettings(folder=model_folder, download=False)
    assert open_detector(DetectorSettings(), where, CropSpec(), note=pytest.fail).name == "yunet"


def test_importing_the_room_is_cheap() -> None:
    code = "import sys, detector; print(sorted({'cv2', 'requests', 'pooch', 'rich'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
