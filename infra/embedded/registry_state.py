"""The registry's content, folded from its log.

In: (key, value) records in the order of the log; keys and values as Confluent's `_schemas` topic has them.
Out: subjects, versions, ids, compatibility levels, modes; what was passed over.
Never: I/O; an id given twice, nor one version of a subject changed once it is given.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from infra.embedded.registry_avro import AvroSchema, Level, parse

Record = tuple[dict[str, Any], dict[str, Any] | None]
GLOBAL = ""
_END = 2**31


@dataclass(frozen=True)
class Entry:
    """One record of the log as it lies there."""

    offset: int
    key: bytes | None
    value: bytes | None


@dataclass(frozen=True)
class Foreign:
    """A record that this registry cannot use: what another registry, or a mistake, left in the log."""

    offset: int
    key: str
    why: str


@dataclass(frozen=True)
class Version:
    """One version of a subject."""

    subject: str
    version: int
    id: int
    schema: AvroSchema
    deleted: bool = False

    def record(self) -> Record:
        """Return the log record that holds this version."""
        return _schema_key(self.subject, self.version), {
            "subject": self.subject,
            "version": self.version,
            "id": self.id,
            "schema": self.schema.text,
            "deleted": self.deleted,
        }


class RegistryState:
    """A fold over the log; the same records give the same state.

    Parameters
    ----------
    default_level
        Compatibility of subjects for which none is configured.
    """

    def __init__(self, default_level: Level = Level.BACKWARD) -> None:
        self._default = default_level
        self._versions: dict[str, dict[int, Version]] = {}
        self._levels: dict[str, Level] = {}
        self._modes: dict[str, str] = {}
        self._reserved: dict[str, set[int]] = {}
        self._highest_id = 0
        self.foreign: list[Foreign] = []

    def take(self, entry: Entry) -> None:
        """Take one record of the log; one that cannot be used is passed over and named, its id and version stay taken."""
        try:
            key, value = json.loads(entry.key or b""), None if entry.value is None else json.loads(entry.value)
            if not isinstance(key, dict) or not (value is None or isinstance(value, dict)):
                raise ValueError("it is no JSON object")
            self.apply(key, value)
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError) as problem:
            why = f"{type(problem).__name__}: {problem}"[:300]
            self.foreign.append(Foreign(entry.offset, repr(entry.key)[:300], why))

    def apply(self, key: Mapping[str, Any], value: Mapping[str, Any] | None) -> None:
        """Take one record of the log.

        Raises
        ------
        ValueError, TypeError, KeyError, AttributeError
            For one that cannot be used.
        """
        match key.get("keytype"):
            case "SCHEMA":
                self._apply_schema(key, value)
            case "CONFIG":
                self._apply_level(key.get("subject") or GLOBAL, value)
            case "MODE":
                self._apply_mode(key.get("subject") or GLOBAL, value)
            case "HIGHEST_ID" if value is not None:
                self._highest_id = max(self._highest_id, int(value["id"]))
            case "DELETE_SUBJECT" if value is not None:
                self._delete_subject(str(value["subject"]), int(value["version"]))
            case "CLEAR_SUBJECT" if value is not None:
                of_subject = self._versions.get(str(value["subject"]), {})
                for number in [number for number, version in of_subject.items() if version.deleted]:
                    del of_subject[number]
            case "NOOP" | "CONTEXT" | "HIGHEST_ID" | "DELETE_SUBJECT" | "CLEAR_SUBJECT":
                return
            case other:
                raise ValueError(f"the kind {other!r} is unknown")

    def subjects(self, *, deleted: bool = False) -> list[str]:
        """Return the subjects that have a version (a living one, unless `deleted`), sorted."""
        return sorted(subject for subject in self._versions if self.versions(subject, deleted=deleted))

    def versions(self, subject: str, *, deleted: bool = False) -> list[Version]:
        """Return the subject's versions in order; empty when there is none."""
        found = self._versions.get(subject, {})
        return [found[number] for number in sorted(found) if deleted or not found[number].deleted]

    def with_id(self, schema_id: int) -> list[Version]:
        """Return every version, softly deleted ones too, that carries the id: data may refer to it still."""
        return [
            v for subject in sorted(self._versions) for v in self.versions(subject, deleted=True) if v.id == schema_id
        ]

    def find(self, subject: str, schema: AvroSchema, *, deleted: bool = False) -> Version | None:
        """Return the newest version of the subject that is this schema."""
        same = [v for v in self.versions(subject, deleted=deleted) if v.schema.canonical == schema.canonical]
        return same[-1] if same else None

    def level(self, subject: str) -> Level:
        """Return the level that holds for the subject."""
        return self._levels.get(subject) or self._levels.get(GLOBAL) or self._default

    def own_level(self, subject: str) -> Level | None:
        """Return the level configured for the subject itself, or globally for GLOBAL."""
        return self._levels.get(subject)

    def own_mode(self, subject: str) -> str | None:
        """Return the mode configured for the subject itself, or globally for GLOBAL."""
        return self._modes.get(subject)

    def mode(self, subject: str) -> str:
        """Return the mode that holds for the subject."""
        return self._modes.get(subject) or self._modes.get(GLOBAL) or "READWRITE"

    def next_version(self, subject: str, schema: AvroSchema) -> Version:
        """Return the version that registering the schema would add; a known schema keeps its id."""
        known = next((v.id for s in self._versions for v in self._versions[s].values() if _same(v, schema)), None)
        numbers = {*self._versions.get(subject, {}), *self._reserved.get(subject, ())}
        return Version(subject, max(numbers, default=0) + 1, known or self._highest_id + 1, schema)

    def highest_id_record(self) -> Record:
        """Return the record that keeps ids unique after versions are deleted for good."""
        return {"keytype": "HIGHEST_ID", "magic": 0}, {"id": self._highest_id}

    def _apply_level(self, subject: str, value: Mapping[str, Any] | None) -> None:
        level = value.get("compatibilityLevel") if value else None
        if level is None:  # Confluent's may hold other settings only
            self._levels.pop(subject, None)
        else:
            self._levels[subject] = Level(level)

    def _apply_mode(self, subject: str, value: Mapping[str, Any] | None) -> None:
        if value is None:
            self._modes.pop(subject, None)
        else:
            self._modes[subject] = str(value["mode"])

    def _delete_subject(self, subject: str, until: int) -> None:
        of_subject = self._versions.get(subject, {})
        for number, version in of_subject.items():
            if number <= until:
                of_subject[number] = replace(version, deleted=True)

    def _apply_schema(self, key: Mapping[str, Any], value: Mapping[str, Any] | None) -> None:
        subject, number = str(key["subject"]), int(key["version"])
        of_subject = self._versions.setdefault(subject, {})
        of_subject.pop(number, None)
        if value is None:
            self._reserved.get(subject, set()).discard(number)
            return
        schema_id = int(value["id"])
        if not (0 < schema_id < _END and 0 < number < _END):
            raise ValueError("ids and versions are whole numbers from 1 to 2^31-1")
        self._reserved.setdefault(subject, set()).add(number)
        self._highest_id = max(self._highest_id, schema_id)
        if (kind := value.get("schemaType") or "AVRO") != "AVRO":
            raise ValueError(f"schemas of the type {kind} are not supported")
        if value.get("references"):
            raise ValueError("references are not supported")
        schema = parse(str(value["schema"]), new=False)
        of_subject[number] = Version(subject, number, schema_id, schema, bool(value.get("deleted")))


def deletion(version: Version, *, permanent: bool) -> Record:
    """Return the record that deletes the version, softly or for good."""
    if permanent:
        return _schema_key(version.subject, version.version), None
    return replace(version, deleted=True).record()


def level_record(subject: str, level: Level | None) -> Record:
    """Return the record that sets the level of a subject (or of GLOBAL), or takes it away."""
    key = {"keytype": "CONFIG", "subject": subject or None, "magic": 0}
    return key, None if level is None else {"compatibilityLevel": level.value}


def mode_record(subject: str, mode: str | None) -> Record:
    """Return the record that sets the mode of a subject (or of GLOBAL), or takes it away."""
    key = {"keytype": "MODE", "subject": subject or None, "magic": 0}
    return key, None if mode is None else {"mode": mode}


def _schema_key(subject: str, version: int) -> dict[str, Any]:
    return {"keytype": "SCHEMA", "subject": subject, "version": version, "magic": 1}


def _same(version: Version, schema: AvroSchema) -> bool:
    return version.schema.canonical == schema.canonical
