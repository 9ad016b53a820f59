"""Numbers and money as files write them.

In: texts of cells.
Out: exact numbers; amounts in minor units of their currency.
Never: a float, a rounded amount, or one comma read as another.
"""

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from footlights.currencies import minor_units, normalised
from footlights.outcome import Refusal

from infra.replay.event import Refused

#: Columns of money, in minor units of the row's `currency`.
MONEY: Final = frozenset({"amount_minor", "price_minor"})
_NUMBER: Final = re.compile(r"[+-]?(?:[0-9]{1,30}\.?[0-9]{0,30}|\.[0-9]{1,30})(?:[eE][+-]?[0-9]{1,2})?")
_MAX_DIGITS: Final = 30


@dataclass(frozen=True)
class Numbers:
    """How numbers are written: the sign before decimals, and the one between groups of digits, when there is one."""

    decimal: str = "."
    thousands: str | None = None

    def read(self, text: str) -> Decimal:
        """The number of a text.

        Raises
        ------
        Refused
            When it is none: currency signs, parentheses and groups that the file is not said to have among them.

        Examples
        --------
        >>> Numbers().read("-12.50"), Numbers(",", ".").read("1.234,50")
        (Decimal('-12.50'), Decimal('1234.50'))
        """
        plain = text
        if self.thousands is not None and self.thousands in plain:
            whole, *rest = plain.split(self.decimal, 1)
            first, *groups = whole.lstrip("+-").split(self.thousands)
            if (
                not groups
                or not 1 <= len(first) <= 3
                or any(len(g) not in (2, 3) for g in groups)
                or len(groups[-1]) != 3
            ):
                raise Refused("a number is unreadable")
            plain = self.decimal.join([whole.replace(self.thousands, ""), *rest])
        if self.decimal != ".":
            if "." in plain:
                raise Refused("a number is unreadable")
            plain = plain.replace(self.decimal, ".")
        if not _NUMBER.fullmatch(plain):
            raise Refused("a number is unreadable")
        number = Decimal(plain)
        if abs(number.adjusted()) > _MAX_DIGITS:
            raise Refused("a number is unreadable")
        return number


def currency_code(text: object) -> str:
    """The ISO 4217 code that a file means.

    Raises
    ------
    Refused
        When it means none, or could mean several.
    """
    try:
        return normalised(text)
    except Refusal as refusal:
        raise Refused(refusal.detail) from refusal


def in_minor_units(amount: Decimal, currency: str) -> int:
    """An amount of a currency in its minor units; Refused when it has more decimals than the currency."""
    try:
        return minor_units(amount, currency)
    except Refusal as refusal:
        raise Refused(refusal.detail) from refusal
