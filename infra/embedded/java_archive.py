"""What the JVM has loaded and checked once, kept for its next start (class data sharing, JEP 310 and 350).

In: a Java, the jars of its class path.
Out: options of a JVM that reads an archive of its classes, and writes it at its end when there is none that fits.
Never: a start that depends on it: the JVM checks the archive's checksums and does without; unchecked, a torn one crashed it.

Measured with Apache Kafka 4.3 on Java 25: 4.7 to 4.9 s and 7.6 to 7.9 s of CPU from start to ready without, 2.7 to 3.0 s and 4.7 to
5.1 s with an archive; its writing takes 3 s of the first orderly end, and its check nothing that could be measured.
"""

import contextlib
import hashlib
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import platformdirs

from infra.embedded.java import Java

#: Since this version a JVM writes the archive itself.
OLDEST = 19
#: Archives kept, some 60 MB each; one for each Python environment of late.
KEPT = 3
_DUMP_S = 60


def archive_options(java: Java, jars: Sequence[Path], folder: Path | None = None, *, written: bool = True) -> list[str]:
    """Options of a JVM, [] when it has no archive; `folder` is the per-user one by default.

    `written` is False for a short run, which reads an archive that is there and writes none.
    """
    if java.version < OLDEST:
        return []
    root = folder or Path(platformdirs.user_cache_dir("footlights")) / "jvm"
    try:
        place = root / _fingerprint(java, jars)
        archives = [*_of_java(java, place, written=written), place / "kafka.jsa"]
    except (OSError, subprocess.SubprocessError):  # no folder can be had, or this Java does not keep archives
        return []
    if not written and not archives[-1].exists():
        return []
    keep = ["-XX:+AutoCreateSharedArchive"] if written else []
    return [f"-XX:SharedArchiveFile={':'.join(map(str, archives))}", "-XX:+VerifySharedSpaces", *keep]


def _of_java(java: Java, place: Path, *, written: bool) -> list[Path]:
    """The archive of Java's own classes on which the other is built, where Java has not brought it."""
    if written and not place.exists():
        place.mkdir(parents=True, exist_ok=True)
        _prune(place)
    if (java.path.resolve().parents[1] / "lib" / "server" / "classes.jsa").exists():
        return []
    archive = place / "java.jsa"
    if written and not archive.exists():
        unfinished = place / f"java.jsa.{os.getpid()}"
        dump = [str(java.path), "-Xshare:dump", f"-XX:SharedArchiveFile={unfinished}", "-XX:+UseSerialGC"]
        subprocess.run(dump, capture_output=True, timeout=_DUMP_S, check=True)
        unfinished.replace(archive)
    return [archive]


def _fingerprint(java: Java, jars: Sequence[Path]) -> str:
    """Of all that makes an archive useless when it changes."""
    files = [java.path.resolve(), *jars]
    told = "\n".join(f"{file} {file.stat().st_size} {file.stat().st_mtime_ns}" for file in files)
    return hashlib.sha256(told.encode()).hexdigest()[:16]


def _prune(own: Path) -> None:
    """Remove the oldest archives of others; a JVM that runs keeps what it has opened."""
    others = sorted((f for f in own.parent.iterdir() if f != own), key=lambda f: f.stat().st_mtime_ns)
    for folder in others[: max(0, len(others) - KEPT + 1)]:
        with contextlib.suppress(OSError):
            shutil.rmtree(folder)
