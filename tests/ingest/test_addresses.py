"""Addresses: secrets stay secret, and everybody gets a sensible name."""

import subprocess
import sys
from pathlib import Path

import pytest

from contracts.addresses import clean_camera_id
from contracts.errors import InputError, SettingsError
from contracts.settings import IngestSettings
from ingest import open_source, redact


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("rtsp://cam/live", "rtsp://cam/live"),
        ("rtsp://admin:s3cret@cam:554/live", "rtsp://***@cam:554/live"),
        ("rtsp://s3cret@cam/live", "rtsp://***@cam/live"),
        ("rtsp://admin:s3@cret@cam/live", "rtsp://***@cam/live"),
        ("rtsp://admin:s3/cret@cam/live", "rtsp://***@cam/live"),
        ("rtsp:/admin:s3cret@cam/live", "rtsp:/***@cam/live"),
        ("rtsp//admin:s3cret@cam/live", "rtsp//***@cam/live"),
        ("admin:s3cret@cam/live", "***@cam/live"),
        ("rtsp://admin:123/4@cam/live", "rtsp://***@cam/live"),
        ("http://cam/v?loginuse=a&loginpas=s3cret&channel=1", "http://cam/v?loginuse=***&loginpas=***&channel=1"),
        ("http://cam/v?psw=s3cret&Stream_Type=main", "http://cam/v?psw=***&Stream_Type=main"),
        ("http://cam/v?jwt=s3cret", "http://cam/v?jwt=***"),
        ("http://cam/v?access_token=s3cret#t", "http://cam/v?access_token=***#t"),
        ("http://cam/v?PWD=s3cret", "http://cam/v?PWD=***"),
        ("http://cam/v?apikey=s3cret;sig=s3cret", "http://cam/v?apikey=***;sig=***"),
        ("rtsp://cam/user=admin&password=s3cret&channel=1.sdp", "rtsp://cam/user=admin&password=***&channel=1.sdp"),
        ("http://cam/v@2?channel=1", "http://cam/v@2?channel=1"),
        ("videos/people.mp4", "videos/people.mp4"),
        ("people@home.mp4", "people@home.mp4"),
        ("", ""),
    ],
)
def test_credentials_are_never_shown(address: str, shown: str) -> None:
    assert redact(address) == shown


@pytest.mark.parametrize(
    ("address", "camera_id"),
    [
        ("rtsp://u:p@cam-7.example:554/live", "cam-7.example"),
        ("http://[::1]:80/x", "1"),
        ("webcam:2", "webcam2"),
        ("0", "webcam0"),
        ("demo:2", "demo"),
        ("DEMO", "demo"),
    ],
)
def test_a_camera_is_named_after_its_address(address: str, camera_id: str) -> None:
    assert open_source(address, camera_id=None, settings=IngestSettings()).camera_id == camera_id


def test_the_users_own_name_wins() -> None:
    assert open_source("demo", camera_id="lobby", settings=IngestSettings()).camera_id == "lobby"


@pytest.mark.parametrize(
    ("name", "clean"),
    [
        ("Café au lait (2)", "Cafe-au-lait-2"),
        ("a.b_c-d", "a.b_c-d"),
        ("日本", "camera-cf2abf"),
        ("..", "camera"),
        ("a" * 80, "a" * 64),
    ],
)
def test_names_are_cleaned(name: str, clean: str) -> None:
    assert clean_camera_id(name) == clean
    assert clean_camera_id(clean) == clean


def test_recordings_whose_names_differ_in_any_script_are_different_cameras() -> None:
    names = ["интервью 1", "интервью 2", "беседа 1", "беседа", "面试", "x" * 90 + "面", "x" * 90 + "试"]
    assert len({clean_camera_id(name) for name in names}) == len(names)


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("rstp://admin:s3cret@cam/live", "cannot read this kind of address"),
        ("rtsp://admin:s3cret@:554/live", "names no host"),
        ("http://", "names no host"),
        ("webcam:front", "give its number"),
        ("demo:long", "length in seconds"),
        ("demo:-1", "length in seconds"),
        ("demo:nan", "length in seconds"),
        ("nowhere/admin:s3cret@cam.mp4", "no such file"),
        ("", "the address is empty"),
    ],
)
def test_an_address_that_can_never_be_read_is_refused_at_once(address: str, words: str) -> None:
    with pytest.raises(InputError, match=words) as refused:
        open_source(address, camera_id=None, settings=IngestSettings())
    assert "s3cret" not in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("start", ["yesterday", "2025-03-01", "2025-03-01T09:30:00", "2025-13-01T09:30:00Z", ""])
@pytest.mark.parametrize("address", ["demo", "no-such-file.mp4"])
def test_a_start_that_is_no_time_is_told_before_anything_is_read(start: str, address: str) -> None:
    with pytest.raises(SettingsError, match="ISO 8601"):
        open_source(address, camera_id=None, settings=IngestSettings(start=start))


def test_importing_the_room_loads_no_heavy_library() -> None:
    look = "import sys, ingest; print(*sorted({'av', 'cv2', 'numpy', 'skimage', 'matplotlib'} & set(sys.modules)))"
    root = Path(__file__).parents[2]
    loaded = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True, cwd=root).stdout
    assert set(loaded.split()) <= {"numpy"}  # which the contracts need


@pytest.mark.parametrize("name", ["a/b", "../../etc/x", "two words", "Tür", "line\nbreak", ""])
def test_a_name_that_no_address_could_be_made_of_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="is no name for a camera; use letters, digits and"):
        open_source("demo", camera_id=name, settings=IngestSettings())
