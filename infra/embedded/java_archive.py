"""What the JVM has loaded and checked once, kept for its next start (class data sharing, JEP 310 and 350).

In: a Java, the jars of its class path.
Out: options of a JVM that reads an archive of its classes, and writes it at its end when there is none that fits.
Never: a start that depends on it: the JVM checks the archive's checksums and does without; unchecked, a torn one crashed it.

Measured with Apache Kafka 4.3 on Java 25: 3.1 to 4.0 s and 5.1 to 7.0 s of CPU from start to ready without, 1.7 to 2.0 s and 2.9
to 3.4 s with an archive; its writing takes 2 s of the first orderly end, and its check nothing that could be measured.
"""

import contextlib
import hashlib
from collections.abc import Sequence
from pathlib import Path

import platformdirs

from infra.embedded.java import Java

#: Since this version a JVM writes the archive itself.
OLDEST = 19
#: Archives kept, 48 MB each; one for each Python environment of late.
KEPT = 3


def archive_options(java: Java, jars: Sequence[Path], folder: Path | None = None, *, written: bool = True) -> list[str]:
    """Options of a JVM, [] when it has no archive; `folder` is the per-user one by default.

    `written` is False for a short run, which reads an archive that is there and writes none.
    """
    if java.version < OLDEST:
        return []
    place = folder or Path(platformdirs.user_cache_dir("footlights")) / "jvm"
    try:
        place.mkdir(parents=True, exist_ok=True)
        archive = place / f"{_fingerprint(java, jars)}.jsa"
        _prune(place, archive)
    except OSError:  # no such folder can be had
        return []
    if not written and not archive.exists():
        return []
    keep = ["-XX:+AutoCreateSharedArchive"] if written else []
    return [f"-XX:SharedArchiveFile={archive}", "-XX:+VerifySharedSpaces", *keep]


def _fingerprint(java: Java, jars: Sequence[Path]) -> str:
    """Of all that makes an archive useless when it changes."""
    files = [java.path.resolve(), *jars]
    told = "\n".join(f"{file} {file.stat().st_size} {file.stat().st_mtime_ns}" for file in files)
    return hashlib.sha256(told.encode()).hexdigest()[:16]


def _prune(folder: Path, own: Path) -> None:
    """Remove the oldest archives of others; a JVM that runs keeps what it has opened."""
    others = sorted((f for f in folder.glob("*.jsa") if f != own), key=lambda f: f.stat().st_mtime_ns)
    for file in others[: max(0, len(others) - KEPT + 1)]:
        with contextlib.suppress(FileNotFoundError):
            file.unlink()
