"""The registry's content, folded from its log.

In: (key, value) records in the order of the log; keys and values as Confluent's `_schemas` topic has them.
Out: subjects, versions, ids, compatibility levels.
Never: I/O; an id given twice, nor one version of a subject changed once it is given.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from infra.embedded.registry_avro import AvroSchema, Level, parse

Record = tuple[dict[str, Any], dict[str, Any] | None]
GLOBAL = ""


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
        self._highest_id = 0

    def apply(self, key: Mapping[str, Any], value: Mapping[str, Any] | None) -> None:
        """Take one record of the log; unknown kinds are ignored, so that a newer log can be read."""
        match key.get("keytype"):
            case "SCHEMA":
                self._apply_schema(key, value)
            case "CONFIG":
                self._apply_level(key["subject"] or GLOBAL, value)
            case "HIGHEST_ID" if value is not None:
                self._highest_id = max(self._highest_id, int(value["id"]))

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

    def next_version(self, subject: str, schema: AvroSchema) -> Version:
        """Return the version that registering the schema would add; a known schema keeps its id."""
        known = next((v.id for s in self._versions for v in self._versions[s].values() if _same(v, schema)), None)
        numbers = self._versions.get(subject, {})
        return Version(subject, max(numbers, default=0) + 1, known or self._highest_id + 1, schema)

    def highest_id_record(self) -> Record:
        """Return the record that keeps ids unique after versions are deleted for good."""
        return {"keytype": "HIGHEST_ID", "magic": 0}, {"id": self._highest_id}

    def _apply_level(self, subject: str, value: Mapping[str, Any] | None) -> None:
        if value is None:
            self._levels.pop(subject, None)
        else:
            self._levels[subject] = Level(value["compatibilityLevel"])

    def _apply_schema(self, key: Mapping[str, Any], value: Mapping[str, Any] | None) -> None:
        subject, number = key["subject"], int(key["version"])
        of_subject = self._versions.setdefault(subject, {})
        if value is None:
            of_subject.pop(number, None)
            return
        schema_id = int(value["id"])
        self._highest_id = max(self._highest_id, schema_id)
        of_subject[number] = Version(subject, number, schema_id, parse(value["schema"]), bool(value.get("deleted")))


def deletion(version: Version, *, permanent: bool) -> Record:
    """Return the record that deletes the version, softly or for good."""
    if permanent:
        return _schema_key(version.subject, version.version), None
    return replace(version, deleted=True).record()


def level_record(subject: str, level: Level | None) -> Record:
    """Return the record that sets the level of a subject (or of GLOBAL), or takes it away."""
    key = {"keytype": "CONFIG", "subject": subject or None, "magic": 0}
    return key, None if level is None else {"compatibilityLevel": level.value}


def _schema_key(subject: str, version: int) -> dict[str, Any]:
    return {"keytype": "SCHEMA", "subject": subject, "version": version, "magic": 1}


def _same(version: Version, schema: AvroSchema) -> bool:
    return version.schema.canonical == schema.canonical
