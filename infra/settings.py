"""Every setting: name, type, default, meaning. One table, read once.

In: environment variables, and optionally a TOML file that FOOTLIGHTS_CONFIG names.
Out: `Settings`.
Never: a misspelt FOOTLIGHTS_* name that is silently ignored.
"""

import difflib
import os
import secrets
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import platformdirs

if TYPE_CHECKING:
    from footlights import Pseudonymiser, SubjectIds


STORE_PASSWORD = "clickhouse.password"


class BadSetting(ValueError):
    """A setting that does not exist or cannot be read; the message says what to write instead."""


@dataclass(frozen=True)
class Setting:
    """One setting. `parse` raises ValueError for a value that cannot work."""

    name: str
    default: Any
    help: str
    parse: Callable[[str], Any] = str


def _flag(text: str) -> bool:
    if text.strip().lower() in ("true", "1", "yes", "on"):
        return True
    if text.strip().lower() in ("false", "0", "no", "off", ""):
        return False
    raise ValueError("write true or false")


def _trust(text: str) -> int | str:
    from footlights.addresses import trust_of

    return trust_of(text)


def _positive(text: str) -> float:
    value = float(text)
    if value <= 0:
        raise ValueError("write a number above 0")
    return value


def _count(text: str) -> int:
    value = int(text)
    if value < 0:
        raise ValueError("write a whole number of 0 or more")
    return value


def _thresholds(text: str) -> dict[str, float]:
    pairs = [part.partition("=") for part in text.split(",") if part.strip()]
    return {name.strip(): float(value) for name, _, value in pairs}


def _some(text: str) -> int:
    if (value := _count(text)) == 0:
        raise ValueError("write a whole number of 1 or more")
    return value


def _url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("write a URL such as http://clickhouse:8123")
    return text.rstrip("/")


def _brokers(text: str) -> str:
    for address in text.split(","):
        host, _, port = address.strip().rpartition(":")
        if not host or "/" in host or not port.isdigit():
            raise ValueError("write host:port, several separated by commas")
    return text


def _level(text: str) -> str:
    if text.lower() not in ("debug", "info", "warning", "error"):
        raise ValueError("write debug, info, warning or error")
    return text.lower()


def _zone(text: str) -> str:
    try:
        ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError):
        raise ValueError("write a time zone such as Europe/Berlin") from None
    return text


def _key(text: str) -> bytes:
    value = bytes.fromhex(text)
    if len(value) != 32:
        raise ValueError("write 64 hex digits, e.g. from `openssl rand -hex 32`")
    return value


SETTINGS: dict[str, Setting] = {
    s.name: s
    for s in (
        Setting(
            "FOOTLIGHTS_CONFIG",
            "",
            "TOML file with further settings, names in lower case without the prefix or with it",
        ),
        Setting("FOOTLIGHTS_DATA_DIR", "", "folder of the embedded stack's state; default: the user's data folder"),
        Setting("FOOTLIGHTS_KAFKA", "", "Kafka's host:port; empty starts the embedded broker", _brokers),
        Setting("FOOTLIGHTS_SCHEMA_REGISTRY", "", "URL of the schema registry; empty starts the embedded one", _url),
        Setting("FOOTLIGHTS_CLICKHOUSE", "", "URL of ClickHouse's HTTP port; empty starts the embedded engine", _url),
        Setting("FOOTLIGHTS_CLICKHOUSE_USER", "default", "user that creates tables and inserts"),
        Setting(
            "FOOTLIGHTS_CLICKHOUSE_PASSWORD",
            "",
            "password of that user; default: of the embedded store, one made for this data folder",
        ),
        Setting("FOOTLIGHTS_CLICKHOUSE_READER", "reader", "user of analysts' queries"),
        Setting("FOOTLIGHTS_CLICKHOUSE_READER_PASSWORD", "", "password of the reader"),
        Setting("FOOTLIGHTS_WORKERS", 2, "stream workers that `up` starts", _count),
        Setting("FOOTLIGHTS_SINKS", 1, "sink processes that `up` starts", _count),
        Setting("FOOTLIGHTS_COLLECTOR", True, "whether `up` starts the HTTP collector", _flag),
        Setting("FOOTLIGHTS_COLLECTOR_HOST", "127.0.0.1", "address that the collector listens on"),
        Setting("FOOTLIGHTS_COLLECTOR_PORT", 0, "its port; 0: a free one, kept for this data folder", _count),
        Setting("FOOTLIGHTS_KEYS_FILE", "", "file of the API keys; default: in the data folder"),
        Setting(
            "FOOTLIGHTS_GEO_DATABASE",
            "",
            "city database in MaxMind's format; without one the collector adds no places",
        ),
        Setting(
            "FOOTLIGHTS_GEO_LEAST_PEOPLE",
            10,
            "people that a collector must have seen in a city before it names the city and not its region",
            _count,
        ),
        Setting(
            "FOOTLIGHTS_TRUST_FORWARDED",
            False,
            "how many proxies of yours stand before the collector (true: one) and add to Forwarded or X-Forwarded-For, or the name "
            "of the header that one overwrites with the browser's address, e.g. cf-connecting-ip",
            _trust,
        ),
        Setting("FOOTLIGHTS_FORWARD_POSTHOG", "", "URL of a PostHog that `footlights forward posthog` sends to", _url),
        Setting("FOOTLIGHTS_FORWARD_POSTHOG_KEY", "", "its project key"),
        Setting("FOOTLIGHTS_FORWARD_WEBHOOK", "", "https URL that `footlights forward webhook` sends to", _url),
        Setting("FOOTLIGHTS_FORWARD_SECRET", "", "key that signs the webhook's requests"),
        Setting(
            "FOOTLIGHTS_FORWARD_TRUSTED_HOSTS",
            frozenset(),
            "hosts of your own, separated by commas, that may be private and without TLS",
            lambda text: frozenset(filter(None, (host.strip() for host in text.split(",")))),
        ),
        Setting("FOOTLIGHTS_REPLICATION", 1, "replication factor of topics that `migrate` creates", _some),
        Setting("FOOTLIGHTS_CHECKPOINT_S", 1.0, "seconds between checkpoints of the stream", _positive),
        Setting("FOOTLIGHTS_REPORTING_ZONE", "UTC", "time zone of calendar days", _zone),
        Setting(
            "FOOTLIGHTS_STORE_TEXT", False, "store free text of feedback; otherwise it is dropped at the sink", _flag
        ),
        Setting("FOOTLIGHTS_DEADLETTER_KEY", b"", "64 hex digits; default: a key made for this data folder", _key),
        Setting(
            "FOOTLIGHTS_PSEUDONYM_KEY",
            "",
            "key of `simulate`, `replay` and the collector; default: one made for this data folder",
        ),
        Setting(
            "FOOTLIGHTS_PSEUDONYM_KEYS_BEFORE",
            (),
            "former pseudonym keys, separated by commas, whose people still may come; needs FOOTLIGHTS_SUBJECTS_FILE",
            lambda text: tuple(key.strip().encode() for key in text.split(",") if key.strip()),
        ),
        Setting(
            "FOOTLIGHTS_SUBJECTS_FILE",
            "",
            "SQLite file with a random id for each person, for collectors and the command line; empty: computed ids",
        ),
        Setting(
            "FOOTLIGHTS_JAVA",
            "",
            "Java 17 or newer for the embedded broker; default: the one of the Python environment",
        ),
        Setting("FOOTLIGHTS_KAFKA_HEAP", "512m", "heap of the embedded broker"),
        Setting("FOOTLIGHTS_MAVEN_URL", "", "another address for the embedded broker's jars", _url),
        Setting(
            "FOOTLIGHTS_SESSION_TIMEOUT_S", 6.0, "seconds after which a silent worker loses its partitions", _positive
        ),
        Setting(
            "FOOTLIGHTS_COHORTS_S", 60, "seconds between two rounds of the cohort metrics and sessions; 0: none", _count
        ),
        Setting(
            "FOOTLIGHTS_MONITOR",
            True,
            "whether `up` starts the monitor, which exports ledger, lag and store health",
            _flag,
        ),
        Setting("FOOTLIGHTS_MONITOR_S", 15.0, "seconds between two looks of the monitor", _positive),
        Setting("FOOTLIGHTS_CANARY_S", 0, "seconds between two canaries through the whole path; 0: none", _count),
        Setting(
            "FOOTLIGHTS_ALERT_THRESHOLDS",
            {},
            "other thresholds of KPI alerts for `footlights rules`: name=0.2,name=…",
            _thresholds,
        ),
        Setting("FOOTLIGHTS_LOG_LEVEL", "info", "debug, info, warning or error", _level),
        Setting("FOOTLIGHTS_FAILPOINT", "", "tests only: place at which a process kills itself, name or name:n"),
        Setting("FOOTLIGHTS_SWITCH_OFF", "", "tests only: guards switched off for control runs, separated by commas"),
        Setting("ANALYTICS_ENABLED", True, "false makes every call of the SDK do nothing", _flag),
        Setting("ANALYTICS_RETENTION_DAYS", 365, "days that raw events are kept, counted from their storing", _count),
        Setting("ANALYTICS_BATCH_SIZE", 1000, "rows that a partition's batch waits for before it is merged", _some),
        Setting("AI_SERVICES_ENABLED", False, "whether texts may be sent to an outside model", _flag),
        Setting("OPENAI_API_KEY", "", "key of that model"),
    )
}


@dataclass(frozen=True)
class Settings:
    """Values of all settings; read one with `settings["NAME"]`."""

    values: Mapping[str, Any]

    def __getitem__(self, name: str) -> Any:
        """Value of a setting."""
        return self.values[name]

    @property
    def data_dir(self) -> Path:
        """Folder of the embedded stack's state."""
        return Path(self["FOOTLIGHTS_DATA_DIR"] or platformdirs.user_data_dir("footlights")).expanduser().resolve()

    @property
    def switched_off(self) -> frozenset[str]:
        """Guards that a control run does without."""
        return frozenset(filter(None, self["FOOTLIGHTS_SWITCH_OFF"].split(",")))

    def dead_letter_key(self) -> bytes:
        """Key of the dead letters' payloads, made for the data folder when none was given."""
        given: bytes = self["FOOTLIGHTS_DEADLETTER_KEY"]
        return given or bytes.fromhex(self._kept("deadletter.key"))

    def pseudonym_key(self) -> str:
        """Key of the pseudonyms that collectors and the command line make."""
        return str(self["FOOTLIGHTS_PSEUDONYM_KEY"]) or self._kept("pseudonym.key")

    def subject_ids(self) -> "SubjectIds | None":
        """The random ids of people, where FOOTLIGHTS_SUBJECTS_FILE keeps them.

        Raises
        ------
        OSError
            When the file cannot be used.
        """
        from footlights import SubjectIds

        file = self["FOOTLIGHTS_SUBJECTS_FILE"]
        keys = [self.pseudonym_key().encode(), *self["FOOTLIGHTS_PSEUDONYM_KEYS_BEFORE"]]
        return SubjectIds(Path(file).expanduser(), keys) if file else None

    def pseudonymiser(self) -> "Pseudonymiser":
        """What turns the ids of people into pseudonyms in collectors and on the command line."""
        from footlights import HmacPseudonymiser

        return self.subject_ids() or HmacPseudonymiser(self.pseudonym_key().encode())

    def keys_file(self) -> Path:
        """File of the API keys."""
        return Path(self["FOOTLIGHTS_KEYS_FILE"] or self.data_dir / "keys.json").expanduser()

    def store_password_file(self) -> Path:
        """File of the embedded store's password, made for the data folder."""
        return self.data_dir / "keys" / STORE_PASSWORD

    def store_password(self) -> str:
        """Password of the user that writes: as set, else the embedded store's own."""
        given = str(self["FOOTLIGHTS_CLICKHOUSE_PASSWORD"])
        return given if given or self["FOOTLIGHTS_CLICKHOUSE"] else self._kept(STORE_PASSWORD)

    def _kept(self, name: str) -> str:
        return kept_secret(self.data_dir / "keys" / name)


def kept_secret(file: Path) -> str:
    """Return the secret in the file, made at the first call, for its owner's eyes only.

    Raises
    ------
    OSError
        When the file can neither be read nor written.
    """
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        fresh = file.with_name(f".{file.name}.{os.getpid()}")
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:
            out.write(secrets.token_hex(32))
        try:
            os.link(fresh, file)  # of two processes that start at once, one secret wins
        except FileExistsError:
            pass
        finally:
            fresh.unlink()
    return file.read_text().strip()


def load(environment: Mapping[str, str] = os.environ) -> Settings:
    """Read all settings.

    Raises
    ------
    BadSetting
        For a name that starts with FOOTLIGHTS_ and is none, a value that cannot be read or lacks another, a file that is no TOML.
    """
    given = {**_file(environment.get("FOOTLIGHTS_CONFIG", "")), **environment}
    for name in given:  # ANALYTICS_* and OPENAI_* may be other software's as well
        if name.startswith("FOOTLIGHTS_") and name not in SETTINGS:
            raise BadSetting(f"there is no setting {name}{_proposal(name)}")
    values = {s.name: _value(s, given.get(s.name)) for s in SETTINGS.values()}
    if values["FOOTLIGHTS_PSEUDONYM_KEYS_BEFORE"] and not values["FOOTLIGHTS_SUBJECTS_FILE"]:
        raise BadSetting(
            "FOOTLIGHTS_PSEUDONYM_KEYS_BEFORE needs FOOTLIGHTS_SUBJECTS_FILE: computed ids do not outlive their key"
        )
    return Settings(values)


def _proposal(name: str) -> str:
    tails = {known.removeprefix("FOOTLIGHTS_"): known for known in SETTINGS}
    near = difflib.get_close_matches(name.removeprefix("FOOTLIGHTS_"), tails, 1)
    return f"; did you mean {tails[near[0]]}?" if near else ""


def _file(path: str) -> dict[str, str]:
    if not path:
        return {}
    try:
        held = tomllib.loads(Path(path).read_text())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as problem:
        raise BadSetting(f"FOOTLIGHTS_CONFIG: {path} cannot be read: {problem}") from problem
    out = {}
    for key, value in held.items():
        name = key.upper()
        if name not in SETTINGS:
            name = f"FOOTLIGHTS_{name}"
        if not isinstance(value, (str, int, float, bool)):
            raise BadSetting(f"FOOTLIGHTS_CONFIG: {key} in {path} must be one value, not a list or a table")
        out[name] = str(value).lower() if isinstance(value, bool) else str(value)
    return out


def _value(setting: Setting, text: str | None) -> Any:
    if text is None or text == "":
        return setting.default
    try:
        return setting.parse(text)
    except ValueError as problem:
        raise BadSetting(f"{setting.name} cannot be {text!r}: {problem}") from problem


def settings_page() -> str:
    """The table of docs/operators.md."""
    lines = ["| setting | default | meaning |", "|---|---|---|"]
    for s in SETTINGS.values():
        default = (
            ""
            if s.default in ("", b"")
            else f"`{str(s.default).lower() if isinstance(s.default, bool) else s.default}`"
        )
        lines.append(f"| `{s.name}` | {default} | {s.help} |")
    return "\n".join(lines) + "\n"
