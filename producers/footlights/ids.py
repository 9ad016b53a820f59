"""Ids of records and producers.

In: a time, random bits or the parts of a foreign identity.
Out: UUIDv7 texts (RFC 9562, section 5.7), and the partition key of a record.
Never: two different ids for the same foreign identity.
"""

import hashlib
import secrets
import uuid
from collections.abc import Iterator
from os import getpid

KEY_SEPARATOR = "\x1f"
#: Two bits that mark the variant, before two of chance.
_VARIANT = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}
#: The last 12 of an id's 74 bits count, as section 6.2 allows: 62 bits by chance serve 4,096 ids.
_COUNTED = [f"{number:03x}" for number in range(4_096)]
#: The process that drew them, and ends of ids that it has not used: one value, since a child that was forked has its parent's.
_drawn: tuple[int, Iterator[str]] = (0, iter(()))


def uuid7(ms: int, random_bits: int) -> str:
    """UUIDv7 of an epoch millisecond and 74 random bits.

    Examples
    --------
    >>> uuid7(1_700_000_000_000, 0)
    '018bcfe5-6800-7000-8000-000000000000'
    """
    end = f"{random_bits & (1 << 62) - 1 | 1 << 63:016x}"
    return f"{uuid7_head(ms & 0xFFFF_FFFF_FFFF)}{random_bits >> 62 & 0xFFF:03x}-{end[:4]}-{end[4:]}"


def uuid7_of(ms: int, *parts: str) -> str:
    """UUIDv7 of a time and a hash of parts: the same for every repetition of a foreign record.

    Examples
    --------
    >>> uuid7_of(5, "tenant", "source", "id-1") == uuid7_of(5, "tenant", "source", "id-1")
    True
    >>> uuid7_of(5, "a", "bc") == uuid7_of(5, "ab", "c")
    False
    """
    return uuid7_of_hash(ms, hashlib.sha256(KEY_SEPARATOR.join(parts).encode()).hexdigest())


def uuid7_of_hash(ms: int, digits: str) -> str:
    """UUIDv7 of a time and of at least 20 hex digits.

    Examples
    --------
    >>> uuid7_of_hash(1_700_000_000_000, "0" * 20)
    '018bcfe5-6800-7000-8000-000000000000'
    """
    # What `uuid7` makes of the hash's first ten bytes, by their digits: in half the time.
    time = f"{ms & 0xFFFF_FFFF_FFFF:012x}"
    third = _COUNTED[int(digits[1:5], 16) >> 2 & 0xFFF]
    return f"{time[:8]}-{time[8:]}-7{third}-{_VARIANT[digits[4]]}{digits[5:8]}-{digits[8:20]}"


def fresh_uuid7(ms: int) -> str:
    """UUIDv7 of a record that was made just now."""
    return uuid7_of_head(uuid7_head(ms))


def uuid7_head(ms: int) -> str:
    """What all ids of a millisecond begin with."""
    digits = f"{ms:012x}"
    return f"{digits[:8]}-{digits[8:]}-7"


def uuid7_of_head(head: str) -> str:
    """UUIDv7 of a record that was made in the millisecond of `head`."""
    global _drawn
    while True:
        pid, ends = _drawn
        if pid == getpid() and (end := next(ends, None)) is not None:
            return head + end
        chance = secrets.token_hex(8)
        # An iterator without a line of Python: one of its texts goes to one thread only.
        _drawn = getpid(), map(f"{chance[:3]}-{_VARIANT[chance[3]]}{chance[4:7]}-{chance[7:]}".__add__, _COUNTED)


def new_producer_id() -> str:
    """Id of this process as a producer, 32 hex digits."""
    return uuid.uuid4().hex


def record_key(tenant_id: str, identity: str) -> bytes:
    """Kafka key of a record, a pure function of the event, so that a repeat meets its first in the same partition."""
    return f"{tenant_id}{KEY_SEPARATOR}{identity}".encode()
