"""What the registry does, without HTTP.

In: subjects, schemas, levels.
Out: versions; errors with Confluent's codes.
Never: a change visible before the log holds it; two changes at a time.
"""

import asyncio

import structlog

from infra.embedded import registry_errors as errors
from infra.embedded.registry_avro import AvroSchema, InvalidSchema, Level, incompatibilities, parse
from infra.embedded.registry_log import LogUnavailable, RegistryLog
from infra.embedded.registry_state import GLOBAL, Record, RegistryState, Version, deletion, level_record, mode_record

log = structlog.get_logger(__name__)
#: Modes as Confluent names them; the first is that of subjects without one. IMPORT, which takes ids from outside, is not offered.
MODES = ("READWRITE", "READONLY", "READONLY_OVERRIDE")


class RegistryService:
    """State, log, and one writer at a time."""

    def __init__(self, log: RegistryLog, default_level: Level) -> None:
        self._log = log
        self._default_level = default_level
        self._writer = asyncio.Lock()
        self._in_doubt = True
        self.state = RegistryState(default_level)

    async def open(self) -> None:
        """Create the log's topic when it is missing and replay the log.

        Raises
        ------
        LogUnavailable
            When Kafka does not answer.
        """
        await asyncio.to_thread(self._log.create)
        await self._replay()

    async def register(self, subject: str, text: str, *, normalize: bool = False) -> Version:
        """Add the schema to the subject, or return the version that is the same schema already."""
        schema = parse_or_refuse(text, normalize=normalize)
        async with self._writer:
            await self._settle()
            same = self.state.find(subject, schema)
            if same is not None:
                return same
            self._writable(subject)
            reasons = self._reasons(subject, schema, self.state.versions(subject))
            if reasons:
                raise errors.incompatible(reasons)
            version = self.state.next_version(subject, schema)
            await self._write([version.record()])
            return version

    def check(self, subject: str, text: str, version: str | None) -> list[str]:
        """Return why the schema would not fit the given version, or (None) the versions that the level names."""
        schema = parse_or_refuse(text)
        if version is None:
            return self._reasons(subject, schema, self.state.versions(subject))
        if _version_number(version) is None and not self.state.versions(subject):
            return []  # what has no version yet, anything fits
        if not self.state.versions(subject):
            raise errors.version_missing(version)
        return self._reasons(subject, schema, [self.version(subject, version)])

    def look_up(self, subject: str, text: str, *, deleted: bool) -> Version:
        """Return the subject's version that is this schema."""
        if not self.state.versions(subject, deleted=deleted):
            raise errors.subject_missing(subject)
        found = self.state.find(subject, parse_or_refuse(text), deleted=deleted)
        if found is None:
            raise errors.schema_missing("")
        return found

    def versions(self, subject: str, *, deleted: bool = False) -> list[Version]:
        """Return the subject's versions, at least one."""
        found = self.state.versions(subject, deleted=deleted)
        if not found:
            raise errors.subject_missing(subject)
        return found

    def version(self, subject: str, number: str, *, deleted: bool = False) -> Version:
        """Return one version of the subject; the number is 1, 2, … or `latest` (also -1)."""
        wanted = _version_number(number)
        found = self.versions(subject, deleted=deleted)
        if wanted is None:
            return found[-1]
        for version in found:
            if version.version == wanted:
                return version
        raise errors.version_missing(number)

    async def delete_version(self, subject: str, number: str, *, permanent: bool) -> Version:
        """Delete one version, softly first, then for good."""
        async with self._writer:
            await self._settle()
            self._writable(subject)
            version = self.version(subject, number, deleted=permanent or number not in {"latest", "-1"})
            if version.deleted and not permanent:
                raise errors.already_deleted(subject, version.version)
            if permanent and not version.deleted:
                raise errors.soft_deletion_first(subject, version.version)
            await self._write([self.state.highest_id_record(), deletion(version, permanent=permanent)])
            return version

    async def delete_subject(self, subject: str, *, permanent: bool) -> list[Version]:
        """Delete all versions of a subject, softly first, then for good; its own level goes with it."""
        async with self._writer:
            await self._settle()
            self._writable(subject)
            if not permanent and self.state.versions(subject, deleted=True) and not self.state.versions(subject):
                raise errors.already_deleted(subject)
            versions = self.versions(subject, deleted=permanent)
            if permanent and not all(version.deleted for version in versions):
                raise errors.soft_deletion_first(subject)
            changes = [self.state.highest_id_record(), level_record(subject, None), mode_record(subject, None)]
            await self._write(changes + [deletion(version, permanent=permanent) for version in versions])
            return versions

    async def set_level(self, subject: str, level: object) -> Level:
        """Set the level of a subject, or of GLOBAL."""
        try:
            wanted = Level(str(level).upper())
        except ValueError as error:
            raise errors.level_invalid(level) from error
        async with self._writer:
            await self._settle()
            await self._write([level_record(subject, wanted)])
        return wanted

    async def unset_level(self, subject: str) -> Level:
        """Take the level of a subject (or of GLOBAL) away and return what it was."""
        async with self._writer:
            await self._settle()
            level = self.state.own_level(subject)
            if level is None and subject != GLOBAL:
                raise errors.level_missing(subject)
            await self._write([level_record(subject, None)])
            return level or self._default_level

    async def set_mode(self, subject: str, mode: object) -> str:
        """Set the mode of a subject, or of GLOBAL."""
        wanted = str(mode).upper()
        if wanted not in MODES:
            raise errors.mode_invalid(mode)
        async with self._writer:
            await self._settle()
            await self._write([mode_record(subject, wanted)])
        return wanted

    async def unset_mode(self, subject: str) -> str:
        """Take the mode of a subject away and return what it was."""
        async with self._writer:
            await self._settle()
            mode = self.state.own_mode(subject)
            if mode is None:
                raise errors.mode_missing(subject)
            await self._write([mode_record(subject, None)])
            return mode

    def _writable(self, subject: str) -> None:
        if self.state.mode(subject) != MODES[0]:
            raise errors.read_only(subject)

    def _reasons(self, subject: str, schema: AvroSchema, predecessors: list[Version]) -> list[str]:
        texts = [version.schema.text for version in predecessors]
        return incompatibilities(schema.text, texts, self.state.level(subject))

    async def _write(self, records: list[Record]) -> None:
        try:
            await asyncio.to_thread(self._log.append, records)
        except LogUnavailable as error:
            self._in_doubt = True
            raise errors.store_failed(str(error)) from error
        for key, value in records:
            self.state.apply(key, value)

    async def _settle(self) -> None:
        """After a write whose fate is unknown, learn what the log holds before the next change builds on it."""
        if self._in_doubt:
            try:
                await self._replay()
            except LogUnavailable as error:
                raise errors.store_failed(str(error)) from error

    async def _replay(self) -> None:
        state = RegistryState(self._default_level)
        for entry in await asyncio.to_thread(self._log.replay):
            state.take(entry)
        for passed in state.foreign[len(self.state.foreign) :]:
            log.warning(
                "record_passed_over", topic=self._log.topic, offset=passed.offset, key=passed.key, why=passed.why
            )
        self.state = state
        self._in_doubt = False


def parse_or_refuse(text: str, *, normalize: bool = False) -> AvroSchema:
    """Return the schema, or raise the error that the client is told."""
    try:
        return parse(text, normalize=normalize)
    except InvalidSchema as error:
        raise errors.schema_invalid(str(error)) from error


def _version_number(text: str) -> int | None:
    if text in {"latest", "-1"}:
        return None
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) < 2**31:
        raise errors.version_invalid(text)
    return int(text)
