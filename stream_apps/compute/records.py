"""The state of a partition as it is stored: records by key, the newest of each, whoever wrote it.

In: records with their source offset.
Out: the same, by bucket.
Never: an older state over a newer one, or a sketch piece that another writer's piece hides.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from schemas.partials import ADDITIVE, HEAD, HEAD_LEVEL, SKETCH

#: Kind of the records that hold ids already seen; they stay in the changelog.
IDS = "ids"
IDS_LEVEL = -2
#: Kinds of the records that are a bucket's state.
STATES = (ADDITIVE, SKETCH)

Key = tuple[int, int, str, str]


@dataclass(frozen=True)
class Record:
    """A piece of state. `offset`: last source offset that it includes. `touched_ms`: log-append time of its last change."""

    level: int
    bucket: int
    kind: str
    piece: str
    offset: int
    touched_ms: int
    body: bytes

    @property
    def key(self) -> Key:
        """What it is the state of, within its family and partition."""
        return self.level, self.bucket, self.kind, self.piece


@dataclass
class Versions:
    """Records of one key by the generation of their writer."""

    by_generation: dict[int, Record] = field(default_factory=dict)

    @property
    def newest(self) -> Record:
        """The record that includes most; every writer's state is a function of the log up to its offset."""
        return max(self.by_generation.items(), key=lambda held: (held[1].offset, held[0]))[1]


class Records:
    """Stored records of one family and source partition."""

    def __init__(self) -> None:
        self._buckets: dict[tuple[int, int], dict[tuple[str, str], Versions]] = {}
        self.size_bytes = 0  # of all bodies

    def put(self, generation: int, record: Record) -> list[tuple[Key, int]]:
        """Store a record; returns the (key, generation) pairs that it supersedes, to be deleted once it is safe."""
        held = self._buckets.setdefault((record.level, record.bucket), {})
        versions = held.setdefault((record.kind, record.piece), Versions())
        others = [(record.key, g) for g in versions.by_generation if g != generation]
        replaced = versions.by_generation.get(generation)
        self.size_bytes += len(record.body) - (len(replaced.body) if replaced else 0)
        versions.by_generation[generation] = record
        return others

    def drop(self, key: Key, generation: int) -> None:
        """Forget one writer's record of a key."""
        level, bucket, kind, piece = key
        held = self._buckets.get((level, bucket), {})
        if versions := held.get((kind, piece)):
            gone = versions.by_generation.pop(generation, None)
            self.size_bytes -= len(gone.body) if gone else 0
            if not versions.by_generation:
                del held[kind, piece]
        if not held:
            self._buckets.pop((level, bucket), None)

    def of(self, level: int, bucket: int) -> list[Record]:
        """What is known of a bucket: the newest additive record, and every writer's sketch pieces."""
        out: list[Record] = []
        for (kind, _), versions in self._buckets.get((level, bucket), {}).items():
            out.extend([versions.newest] if kind != SKETCH else versions.by_generation.values())
        return out

    def newest(self, level: int, bucket: int, kind: str, piece: str) -> Record | None:
        """The newest record of a key, whoever wrote it."""
        versions = self._buckets.get((level, bucket), {}).get((kind, piece))
        return versions.newest if versions else None

    def offset(self, level: int, bucket: int) -> int:
        """Source offset up to which the additive record of a bucket includes rows, or -1."""
        found = self.newest(level, bucket, ADDITIVE, "")
        return found.offset if found else -1

    def head(self) -> Record | None:
        """The newest head."""
        return self.newest(HEAD_LEVEL, 0, HEAD, "")

    def all(self) -> Iterator[tuple[int, Record]]:
        """Every record with the generation of its writer."""
        for held in self._buckets.values():
            for versions in held.values():
                yield from versions.by_generation.items()

    def newest_of(self, kind: str) -> Iterator[Record]:
        """The newest record of each key of a kind, whoever wrote it."""
        for held in self._buckets.values():
            for (found, _), versions in held.items():
                if found == kind:
                    yield versions.newest

    def ids(self) -> Iterator[Record]:
        """Every writer's records of ids."""
        for _, record in self.all():
            if record.kind == IDS:
                yield record

    def generations(self, key: Key) -> list[int]:
        """Writers of a key."""
        level, bucket, kind, piece = key
        versions = self._buckets.get((level, bucket), {}).get((kind, piece))
        return list(versions.by_generation) if versions else []

    def untouched(self, level: int, before_ms: int) -> list[int]:
        """Buckets of a level that have additive records or sketches, none of which changed since."""
        return [
            bucket
            for (at, bucket), held in self._buckets.items()
            if at == level
            and (touched := [r.touched_ms for n, v in held.items() if n[0] in STATES for r in v.by_generation.values()])
            and max(touched) < before_ms
        ]

    def keys_of(self, level: int, bucket: int) -> list[tuple[Key, int]]:
        """Key and writer of every additive record and sketch of a bucket."""
        held = self._buckets.get((level, bucket), {})
        return [((level, bucket, *n), g) for n, v in held.items() if n[0] in STATES for g in v.by_generation]

    def holds(self, level: int, bucket: int) -> bool:
        """Whether anything is known of a bucket."""
        return bool(self._buckets.get((level, bucket)))

    def has_state(self, level: int, bucket: int) -> bool:
        """Whether a bucket has additive records or sketches."""
        return any(kind in STATES for kind, _ in self._buckets.get((level, bucket), ()))

    @property
    def restored(self) -> int:
        """Greatest source offset of any record but the head, or -1: replayed rows lie at or below it."""
        return max((r.offset for _, r in self.all()), default=-1)
