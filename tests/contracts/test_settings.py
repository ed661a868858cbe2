"""Settings come from four places, the last one wins, and nothing wrong is taken quietly."""

import tomllib
from pathlib import Path

import pytest

from contracts.describing import HEADING, as_toml
from contracts.errors import SettingsError
from contracts.loading import load_settings

SECRETS = {
    "storage.url": 'postgresql://me:geheim"@host/faces?password=geheim',
    "redis.url": "rediss://:geheim@host:6379/0",
    "live.token": "geheim-geheim-geheim",
}


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write(text: str, name: str = "affectstream.toml") -> Path:
    path = Path(name)
    path.write_text(text, encoding="utf-8")
    return path


def test_without_anything_there_are_the_defaults() -> None:
    settings = load_settings(None, {}, {})
    assert settings.aggregator.windows == (10, 60, 900)
    assert settings.storage.url == "sqlite:///affectstream.db"


def test_flags_win_over_the_environment_over_the_file_over_the_defaults() -> None:
    write('[detector]\nname = "haar"\nworking_width = 320\nmin_face = 20')
    environment = {"AFFECTSTREAM_DETECTOR_WORKING_WIDTH": "400", "AFFECTSTREAM_DETECTOR_MIN_FACE": "30"}
    detector = load_settings(None, environment, {"detector.min_face": 40, "detector.min_score": None}).detector
    assert (detector.name, detector.working_width, detector.min_face, detector.min_score) == ("haar", 400, 40, 0.7)


def test_a_named_file_is_read_and_may_be_named_by_a_variable() -> None:
    path = write("[aggregator]\nhold = 0.5", "other.toml")
    assert load_settings(path, {}, {}).aggregator.hold == 0.5
    assert load_settings(None, {"AFFECTSTREAM_CONFIG": "other.toml"}, {}).aggregator.hold == 0.5


@pytest.mark.parametrize(("text", "expected"), [("5", (5,)), ("10,60", (10, 60)), ("[10, 60]", (10, 60))])
def test_a_variable_can_hold_a_list(text: str, expected: tuple[int, ...]) -> None:
    assert load_settings(None, {"AFFECTSTREAM_AGGREGATOR_WINDOWS": text}, {}).aggregator.windows == expected


def test_a_variable_can_hold_a_table() -> None:
    environment = {"AFFECTSTREAM_AGGREGATOR_STRESS_WEIGHTS": "{ angry = 1, fear = 0.5 }"}
    assert load_settings(None, environment, {}).aggregator.stress_weights == {"angry": 1.0, "fear": 0.5}


def test_the_models_folder_has_a_short_name() -> None:
    assert load_settings(None, {"AFFECTSTREAM_MODELS": "/some/where"}, {}).models.folder == Path("/some/where")


@pytest.mark.parametrize(
    ("file", "environment", "flags", "said"),
    [
        (
            "[detector]\nworking_widht = 3",
            {},
            {},
            "affectstream.toml: unknown key 'detector.working_widht'; did you mean",
        ),
        ("[detectro]\nname = 'haar'", {}, {}, "affectstream.toml: unknown key 'detectro'; did you mean 'detector'?"),
        ("name = 'haar'", {}, {}, "affectstream.toml: unknown key 'name'"),
        ("storage = 1", {}, {}, "affectstream.toml: 'storage' must be a table; write [storage], and its keys below"),
        ("[[storage]]", {}, {}, "affectstream.toml: 'storage' must be a table; write [storage], and its keys below"),
        ("[detector", {}, {}, "affectstream.toml is not valid TOML"),
        ("", {"AFFECTSTREAM_DETECTOR_NAEM": "haar"}, {}, "AFFECTSTREAM_DETECTOR_NAME"),
        ("", {"AFFECTSTREAM_CONFIG": "nowhere.toml"}, {}, "no settings file nowhere.toml"),
        ("", {}, {"detector.name": "magic"}, "command line: detector.name: Input should be 'auto', 'yunet' or 'haar'"),
        ("", {"AFFECTSTREAM_DETECTOR_MIN_SCORE": "7"}, {}, "AFFECTSTREAM_DETECTOR_MIN_SCORE: detector.min_score: "),
        ("[aggregator]\nwindows = [0]", {}, {}, "affectstream.toml: aggregator.windows.0: "),
        ("[aggregator]\nstress_off = 0.9", {}, {}, "stress_off must not be above stress_on"),
        ("[aggregator.stress_weights]\ngrumpy = 1", {}, {}, "stress_weights names no emotion: grumpy"),
        (
            "[aggregator.stress_weights]\nsad = nan",
            {},
            {},
            "aggregator.stress_weights.sad: Input should be a finite number",
        ),
        (
            "[aggregator.stress_weights]\nsad = inf",
            {},
            {},
            "aggregator.stress_weights.sad: Input should be a finite number",
        ),
        (
            "[aggregator.stress_weights]\nsad = -1",
            {},
            {},
            "aggregator.stress_weights.sad: Input should be greater than",
        ),
    ],
)
def test_what_is_wrong_is_named_in_one_line(
    file: str, environment: dict[str, str], flags: dict[str, object], said: str
) -> None:
    write(file)
    with pytest.raises(SettingsError) as caught:
        load_settings(None, environment, flags)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2


def test_the_example_file_is_what_the_settings_command_prints() -> None:
    example = Path(__file__).parents[2] / "affectstream.example.toml"
    assert example.read_text(encoding="utf-8") == f"{HEADING}\n{as_toml(load_settings(None, {}, {}))}"


def test_settings_that_are_written_down_are_read_back() -> None:
    flags = {"models.folder": "/a b/ü", "aggregator.windows": [5], "detector.min_score": 0.25, "models.download": False}
    settings = load_settings(None, {}, flags | SECRETS)
    assert load_settings(write(as_toml(settings, secrets=True)), {}, {}) == settings


def test_what_is_shown_has_no_password_and_is_still_a_file() -> None:
    shown = as_toml(load_settings(None, {}, SECRETS))
    assert "geheim" not in shown
    content = tomllib.loads(shown)
    assert content["storage"]["url"] == "postgresql://***@host/faces?password=***"
    assert content["redis"]["url"] == "rediss://***@host:6379/0"
    assert content["live"]["token"] == "***"
