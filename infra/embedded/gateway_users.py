"""Who may do what in the embedded store.

In: the name and the password that a request carries.
Out: the user's name.
Never: a password in an argument list, a log or an error; a comparison whose time tells how much of a guess was right.
"""

import hmac

from infra.embedded.gateway_errors import GatewayError

READER = "reader"
WRITER = "default"
USERS = (WRITER, READER)


class Users:
    """The writer, who has a password, and the reader, who has none.

    Parameters
    ----------
    password
        The writer's; None lets everybody write who reaches the port.
    """

    def __init__(self, password: str | None) -> None:
        self._keys = {WRITER: password or "", READER: ""}

    def check(self, name: str, key: str) -> str:
        """Return the user's name.

        Raises
        ------
        GatewayError
            For a user that does not exist or another password; which of the two is not told.
        """
        wanted = self._keys.get(name)
        if not hmac.compare_digest((wanted or "").encode(), key.encode(errors="surrogateescape")) or wanted is None:
            raise GatewayError(516, "AUTHENTICATION_FAILED", f"{name}: Authentication failed.")
        return name
