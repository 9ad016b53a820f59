"""Raw ids become pseudonyms before anything is serialised.

In: a tenant and a raw id.
Out: 32 hex digits, the same for the same key, tenant and id.
Never: a raw id behind this point; without the key nobody finds the way back.
"""

import hashlib
import hmac
import os
import secrets
import warnings
from functools import lru_cache
from pathlib import Path
from typing import Protocol

SEPARATOR = b"\x1f"
KEY_BYTES = 32


class Pseudonymiser(Protocol):
    """Maps raw ids to pseudonyms; `version` names the key and travels with every record."""

    version: int

    def __call__(self, tenant_id: str, raw_id: str) -> str:
        """Pseudonym of an id within a tenant."""
        ...


class HmacPseudonymiser:
    """128 bits of HMAC-SHA-256(key, tenant, id); the last 65,536 ids are remembered."""

    #: The pseudonym of an id never changes, so that others may remember it too.
    lasting = True

    def __init__(self, key: bytes, version: int = 1) -> None:
        if len(key) < 16:
            raise ValueError("the pseudonym key needs at least 16 bytes; make one with `openssl rand -hex 32`")
        self.version = version
        keyed = hmac.new(key, digestmod=hashlib.sha256)

        @lru_cache(maxsize=65_536)
        def pseudonym(tenant_id: str, raw_id: str) -> str:
            mac = keyed.copy()
            mac.update(tenant_id.encode() + SEPARATOR + raw_id.encode())
            return mac.hexdigest()[:32]

        self._pseudonym = pseudonym

    def __call__(self, tenant_id: str, raw_id: str) -> str:
        """Pseudonym of an id within a tenant, 32 hex digits."""
        return self._pseudonym(tenant_id, raw_id)


def key_for(given: str | bytes | None, folder: Path) -> bytes:
    """The key that was given, else ANALYTICS_PSEUDONYM_KEY, else one made for this installation and kept in `folder`."""
    text = given or os.environ.get("ANALYTICS_PSEUDONYM_KEY")
    if text:
        return text if isinstance(text, bytes) else text.encode()
    kept = folder / "pseudonym.key"
    if not kept.exists():
        warnings.warn(
            f"no pseudonym key given: a key of this installation is kept in {kept}; set ANALYTICS_PSEUDONYM_KEY so that all "
            "services give a user the same pseudonym",
            stacklevel=3,
        )
        folder.mkdir(parents=True, exist_ok=True)
        fresh = folder / f".pseudonym.{os.getpid()}.{secrets.token_hex(4)}"
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as out:
            out.write(secrets.token_hex(KEY_BYTES).encode())
        try:
            os.link(fresh, kept)  # of two processes that start at once, one key wins
        except FileExistsError:
            pass
        finally:
            fresh.unlink()
    return kept.read_bytes()
