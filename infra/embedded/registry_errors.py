"""The registry's errors, with Confluent's codes.

In: what went wrong.
Out: exceptions with an HTTP status, a code and a sentence.
Never: a code that Confluent's clients read differently.
"""


class RegistryError(Exception):
    """An error that the client is told: its status, code and message."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    @property
    def status(self) -> int:
        """HTTP status: the first three digits of the code."""
        return int(str(self.code)[:3])


def subject_missing(subject: str) -> RegistryError:
    """No such subject."""
    return RegistryError(40401, f"Subject '{subject}' not found.")


def version_missing(version: str) -> RegistryError:
    """No such version."""
    return RegistryError(40402, f"Version {version} not found.")


def schema_missing(what: str) -> RegistryError:
    """No such schema."""
    return RegistryError(40403, f"Schema {what} not found")


def soft_deletion_first(subject: str, version: int | None = None) -> RegistryError:
    """A permanent deletion needs a soft one before it."""
    if version is None:
        return RegistryError(40405, f"Subject '{subject}' was not deleted first before being permanently deleted")
    return RegistryError(
        40407, f"Subject '{subject}' Version {version} was not deleted first before being permanently deleted"
    )


def already_deleted(subject: str, version: int | None = None) -> RegistryError:
    """A soft deletion of what is softly deleted."""
    if version is None:
        return RegistryError(40404, f"Subject '{subject}' was soft deleted. Set permanent=true to delete permanently")
    return RegistryError(
        40406, f"Subject '{subject}' Version {version} was soft deleted. Set permanent=true to delete permanently"
    )


def mode_missing(subject: str) -> RegistryError:
    """The subject has no mode of its own."""
    return RegistryError(40409, f"Subject '{subject}' does not have subject-level mode configured")


def mode_invalid(mode: object) -> RegistryError:
    """No such mode."""
    return RegistryError(42204, f"Invalid mode {mode!r}. Valid values are READWRITE, READONLY and READONLY_OVERRIDE")


def read_only(subject: str) -> RegistryError:
    """The subject's mode forbids the change."""
    return RegistryError(42205, f"Subject {subject} is in read-only mode")


def level_missing(subject: str) -> RegistryError:
    """The subject has no compatibility level of its own."""
    return RegistryError(40408, f"Subject '{subject}' does not have subject-level compatibility configured")


def incompatible(reasons: list[str]) -> RegistryError:
    """The schema breaks the subject's compatibility level."""
    return RegistryError(409, f"Schema being registered is incompatible with an earlier schema; {'; '.join(reasons)}")


def schema_invalid(reason: str) -> RegistryError:
    """The text is no Avro schema."""
    return RegistryError(42201, f"Input schema is an invalid Avro schema: {reason}")


def version_invalid(version: str) -> RegistryError:
    """The version is no positive number nor `latest`."""
    return RegistryError(
        42202, f"The specified version '{version}' is not a valid version id. Use 1 to 2^31-1, or 'latest'."
    )


def level_invalid(level: object) -> RegistryError:
    """No such compatibility level."""
    return RegistryError(42203, f"Invalid compatibility level {level!r}")


def store_failed(reason: str) -> RegistryError:
    """Kafka did not take the record."""
    return RegistryError(50001, f"Error in the backend data store: {reason}")
