"""What holds when a service says nothing: its folders, and whether analytics are on.

In: the environment. Out: paths.
Never: an error; a folder that cannot be made is replaced.
"""

import os
import tempfile
from pathlib import Path


def default_folder() -> Path:
    """Where schemas and an installation's own pseudonym key are kept."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "footlights-sdk"


def default_spool() -> Path:
    """Where events wait that Kafka does not have yet: no cache, since nothing else holds them."""
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "footlights-sdk" / "spool"


def enabled_by_environment() -> bool:
    """What ANALYTICS_ENABLED says; on when it says nothing."""
    return os.environ.get("ANALYTICS_ENABLED", "true").strip().lower() not in ("false", "0", "no", "off")


def usable(folder: Path) -> Path:
    """The folder, made; where it cannot be, one in the system's temporary folder."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return Path(tempfile.gettempdir()) / "footlights-sdk"
    return folder
