"""Settings: names, values, files, and the page that documents them.

In: environments and files.
Out: settings, or a sentence that says what to write instead.
Never: the environment of whoever runs the tests.
"""

import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.settings import SETTINGS, BadSetting, load, settings_page

PAGE = Path(__file__).parents[2] / "docs" / "operators.md"


def test_defaults_of_everything() -> None:
    settings = load({})
    assert {name: settings[name] for name in SETTINGS} == {s.name: s.default for s in SETTINGS.values()}
    assert settings["ANALYTICS_RETENTION_DAYS"] == 365 and settings["FOOTLIGHTS_SINKS"] == 1
    assert settings.data_dir.name == "footlights" and settings.data_dir.is_absolute()


def test_a_misspelt_name_is_an_error_with_a_proposal() -> None:
    with pytest.raises(BadSetting, match=r"no setting FOOTLIGHTS_WORKER; did you mean FOOTLIGHTS_WORKERS\?"):
        load({"FOOTLIGHTS_WORKER": "3"})
    with pytest.raises(BadSetting, match=r"no setting FOOTLIGHTS_QQQQQQQQQ$"):
        load({"FOOTLIGHTS_QQQQQQQQQ": ""})


def test_names_of_other_software_are_let_be() -> None:
    assert load({"ANALYTICS_UNKNOWN": "1", "PATH": "/bin"})["ANALYTICS_ENABLED"] is True


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("FOOTLIGHTS_WORKERS", "0", 0),
        ("FOOTLIGHTS_CHECKPOINT_S", "0.25", 0.25),
        ("FOOTLIGHTS_STORE_TEXT", "Yes", True),
        ("ANALYTICS_ENABLED", "false", False),
        ("FOOTLIGHTS_KAFKA", "a:9092,b:9092", "a:9092,b:9092"),
        ("FOOTLIGHTS_CLICKHOUSE", "https://store:8443/", "https://store:8443"),
        ("FOOTLIGHTS_REPORTING_ZONE", "Asia/Kolkata", "Asia/Kolkata"),
        ("FOOTLIGHTS_DEADLETTER_KEY", "ab" * 32, b"\xab" * 32),
        ("FOOTLIGHTS_LOG_LEVEL", "DEBUG", "debug"),
        ("FOOTLIGHTS_WORKERS", "", 2),
    ],
)
def test_good_values(name: str, text: str, value: object) -> None:
    assert load({name: text})[name] == value


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("FOOTLIGHTS_WORKERS", "-1"),
        ("FOOTLIGHTS_WORKERS", "two"),
        ("FOOTLIGHTS_REPLICATION", "0"),
        ("FOOTLIGHTS_CHECKPOINT_S", "0"),
        ("FOOTLIGHTS_STORE_TEXT", "perhaps"),
        ("FOOTLIGHTS_KAFKA", "http://kafka:9092"),
        ("FOOTLIGHTS_KAFKA", "kafka"),
        ("FOOTLIGHTS_CLICKHOUSE", "localhost:8123"),
        ("FOOTLIGHTS_REPORTING_ZONE", "Mars/Olympus"),
        ("FOOTLIGHTS_REPORTING_ZONE", "../../etc/passwd"),
        ("FOOTLIGHTS_DEADLETTER_KEY", "abcd"),
        ("FOOTLIGHTS_DEADLETTER_KEY", "xyz"),
        ("FOOTLIGHTS_LOG_LEVEL", "loud"),
    ],
)
def test_bad_values_name_the_setting(name: str, text: str) -> None:
    with pytest.raises(BadSetting, match=f"^{name} cannot be "):
        load({name: text})


def test_former_keys_ask_for_a_file_of_subjects() -> None:
    with pytest.raises(BadSetting, match=r"^FOOTLIGHTS_PSEUDONYM_KEYS_BEFORE needs FOOTLIGHTS_SUBJECTS_FILE"):
        load({"FOOTLIGHTS_PSEUDONYM_KEYS_BEFORE": "k" * 32})
    assert load({"FOOTLIGHTS_PSEUDONYM_KEYS_BEFORE": "k" * 32, "FOOTLIGHTS_SUBJECTS_FILE": "s.db"})


def test_a_file_fills_what_the_environment_leaves_open(tmp_path: Path) -> None:
    file = tmp_path / "footlights.toml"
    file.write_text(
        'workers = 5\nstore_text = true\nFOOTLIGHTS_SINKS = 3\nanalytics_retention_days = 30\nkafka = "k:1"\n'
    )
    settings = load({"FOOTLIGHTS_CONFIG": str(file), "FOOTLIGHTS_SINKS": "2"})
    assert (settings["FOOTLIGHTS_WORKERS"], settings["FOOTLIGHTS_SINKS"], settings["FOOTLIGHTS_STORE_TEXT"]) == (
        5,
        2,
        True,
    )
    assert (settings["ANALYTICS_RETENTION_DAYS"], settings["FOOTLIGHTS_KAFKA"]) == (30, "k:1")


@pytest.mark.parametrize(
    "text", ["workerz = 5\n", "workers = [1]\n", "[footlights]\nworkers = 2\n", "workers =\n", "\x00"]
)
def test_a_bad_file_is_an_error(tmp_path: Path, text: str) -> None:
    file = tmp_path / "footlights.toml"
    file.write_text(text)
    with pytest.raises(BadSetting):
        load({"FOOTLIGHTS_CONFIG": str(file)})
    with pytest.raises(BadSetting, match="cannot be read"):
        load({"FOOTLIGHTS_CONFIG": str(tmp_path / "absent.toml")})


@given(st.text(st.characters(categories=("Lu", "Nd")), min_size=1))
def test_no_unknown_name_passes(tail: str) -> None:
    name = f"FOOTLIGHTS_{tail}"
    if name not in SETTINGS:
        with pytest.raises(BadSetting):
            load({name: "x"})


def test_keys_are_made_once_and_are_private(tmp_path: Path) -> None:
    settings = load({"FOOTLIGHTS_DATA_DIR": str(tmp_path)})
    key = settings.dead_letter_key()
    assert len(key) == 32 and settings.dead_letter_key() == key
    assert settings.pseudonym_key() == settings.pseudonym_key() != key.hex()
    assert load({"FOOTLIGHTS_DATA_DIR": str(tmp_path / "other")}).dead_letter_key() != key
    for file in (tmp_path / "keys").iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert sorted(p.name for p in (tmp_path / "keys").iterdir()) == ["deadletter.key", "pseudonym.key"]
    given_ = load({"FOOTLIGHTS_DATA_DIR": str(tmp_path), "FOOTLIGHTS_DEADLETTER_KEY": "00" * 32})
    assert given_.dead_letter_key() == bytes(32)


def test_the_page_for_operators_is_current() -> None:
    assert settings_page() in PAGE.read_text(), "write infra.settings.settings_page() into docs/operators.md"
    assert all(s.help and "|" not in s.help for s in SETTINGS.values())
