"""Which names of data folders the embedded parts can work with.

In: a folder.
Out: nothing, or a sentence.
Never: data beside the folder that was named, or in two of them.
"""

from pathlib import Path

#: ClickHouse takes these for patterns, the rest of an address or escapes, wherever they stand in a path.
_REFUSED = frozenset("?*{}[]\\")


class BadFolder(RuntimeError):
    """The data folder's name is one that an embedded part would misread; the message says what to do."""


def check_folder(folder: Path) -> None:
    """Return when the folder can hold data.

    Raises
    ------
    BadFolder
        Its path has a character that ClickHouse would take for something else, or bytes that are no text.
    """
    path = str(folder)
    try:
        path.encode()
    except UnicodeEncodeError:
        raise BadFolder(
            f"the data folder's path {path!r} is not UTF-8; name another one in FOOTLIGHTS_DATA_DIR"
        ) from None
    if wrong := sorted({c for c in path if c in _REFUSED or not c.isprintable()}):
        told = " ".join(c if c.isprintable() else repr(c) for c in wrong)
        raise BadFolder(
            f"the data folder's path {path!r} has the character {told}, which ClickHouse would misread; name another one"
        )
