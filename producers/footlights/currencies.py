"""Currencies of ISO 4217: how many decimals each has, what its code is, how many minor units an amount is.

In: codes and symbols as people write them, amounts in major units.
Out: codes in capitals, whole numbers of minor units.
Never: a rounded amount, a guessed currency ("$" and "¥" are several), or a factor of 100 for a currency without cents.
"""

import re
import unicodedata
from decimal import Decimal
from functools import lru_cache
from typing import Final

from footlights.outcome import Refusal

#: Column of the families that have money: in another form than a code its amount would count in no revenue.
CURRENCY: Final = "currency"
#: Codes by their decimals, as ISO 4217 lists them; a test compares them with the published list. Precious metals, funds of
#: account and codes for tests have no minor unit, so that no amount can be told in one.
_BY_DECIMALS: Final = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    2: "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE CHF CHW CNY COP COU "
    "CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS "
    "KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB "
    "PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD "
    "TZS UAH USD USN UYU UZS VED VES WST XAD XCD XCG YER ZAR ZMW ZWG",
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}
#: Withdrawn since 2002: what is imported from those years is told in them.
_WITHDRAWN: Final = {
    0: "BYR",
    2: "ANG BGN CUC CYP EEK HRK LTL LVL MRO MTL SIT SKK SLL STD VEF ZWL",
}
DECIMALS: Final[dict[str, int]] = {
    code: decimals
    for table in (_BY_DECIMALS, _WITHDRAWN)
    for decimals, codes in table.items()
    for code in codes.split()
}
#: Signs and short forms that mean one currency wherever they are used.
_SIGNS: Final = {
    "US$": "USD", "$US": "USD", "U.S.$": "USD", "A$": "AUD", "AU$": "AUD", "$AU": "AUD", "C$": "CAD", "CA$": "CAD", "$CA": "CAD",
    "NZ$": "NZD", "$NZ": "NZD", "HK$": "HKD", "S$": "SGD", "SG$": "SGD", "$SG": "SGD", "NT$": "TWD", "MX$": "MXN", "$MX": "MXN",
    "R$": "BRL", "EC$": "XCD", "JP¥": "JPY", "円": "JPY", "CN¥": "CNY", "RMB": "CNY", "UK£": "GBP", "£": "GBP", "€": "EUR",
    "₹": "INR", "₩": "KRW", "₪": "ILS", "₫": "VND", "₱": "PHP", "₺": "TRY", "₽": "RUB", "₴": "UAH", "₸": "KZT", "₦": "NGN",
    "₵": "GHS", "₡": "CRC", "₲": "PYG", "₭": "LAK", "₮": "MNT", "₼": "AZN", "₾": "GEL", "฿": "THB", "ZŁ": "PLN", "KČ": "CZK",
    "FCFA": "XAF", "CFPF": "XPF",
}  # fmt: skip
#: Pence, as stock exchanges write them: a hundredth of what the capitals mean.
_PENCE: Final = "GBp"
_LONGEST: Final = 64
_NUMBER: Final = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
_MAX_LONG: Final = (1 << 63) - 1


def normalised(currency: object) -> str:
    """The ISO 4217 code of a code or a sign, whatever its case and the spaces around it.

    Raises
    ------
    Refusal
        INVALID_FIELD, when it is none that has a minor unit, or could be several: "$", "¥", "kr".

    Examples
    --------
    >>> normalised(" usd"), normalised("US$"), normalised("€")
    ('USD', 'USD', 'EUR')
    """
    if isinstance(currency, str):
        if currency in DECIMALS:
            return currency
        if len(currency) <= _LONGEST and (code := _code(currency)):
            return code
    raise Refusal("INVALID_FIELD", "currency must be a code of ISO 4217 that has a minor unit, e.g. USD")


@lru_cache(maxsize=1_024)
def _code(currency: str) -> str | None:
    """The code of what is no code as it stands."""
    plain = "".join(unicodedata.normalize("NFKC", currency).split())
    capitals = plain.upper()
    if plain == _PENCE:
        return None
    # An ASCII text, since capitals of other letters are sometimes ASCII.
    return capitals if plain.isascii() and capitals in DECIMALS else _SIGNS.get(capitals)


def decimals(currency: object) -> int:
    """How many decimals a currency has; Refusal as `normalised`.

    Examples
    --------
    >>> decimals("USD"), decimals("JPY"), decimals("KWD")
    (2, 0, 3)
    """
    return DECIMALS[normalised(currency)]


def minor_units(amount: object, currency: object) -> int:
    """An amount in major units as a whole number of minor units, exactly.

    Parameters
    ----------
    amount
        A Decimal, an int, a plain decimal text ("12.50", no thousands separators), or a float, of which the 15 digits count that it
        holds faithfully.
    currency
        A code or a sign, see `normalised`.

    Raises
    ------
    Refusal
        INVALID_FIELD, when one of them is none, the amount has more decimals than the currency, or takes more than 64 bits.

    Examples
    --------
    >>> minor_units("50.00", "USD"), minor_units(5000, "JPY"), minor_units("12.500", "KWD"), minor_units(19.99, "EUR")
    (5000, 5000, 12500, 1999)
    """
    code = normalised(currency)
    number = _decimal(amount)
    # By the digits themselves: arithmetic of decimals rounds to the 28 digits of its context.
    sign, digits, exponent = number.as_tuple()
    if not isinstance(exponent, int):
        raise Refusal("INVALID_FIELD", "an amount must be finite")
    whole = "".join(map(str, digits)).lstrip("0")
    if not whole:
        return 0
    shift = exponent + DECIMALS[code]
    if shift < 0 and len(whole) > -shift and not whole[shift:].strip("0"):
        whole, shift = whole[:shift], 0
    if shift < 0:
        raise Refusal("INVALID_FIELD", f"an amount of {code} has at most {DECIMALS[code]} decimals")
    minor = int(whole + "0" * shift) if len(whole) + shift < 20 else _MAX_LONG + 1
    if minor > _MAX_LONG:
        raise Refusal("INVALID_FIELD", "an amount takes at most 64 bits")
    return -minor if sign else minor


def _decimal(amount: object) -> Decimal:
    if isinstance(amount, Decimal):
        return amount
    if isinstance(amount, float):
        return Decimal(f"{amount:.15g}")
    if isinstance(amount, int) and not isinstance(amount, bool):
        return Decimal(amount)
    if isinstance(amount, str):
        text = amount.strip()
        if len(text) <= _LONGEST and _NUMBER.fullmatch(text):
            return Decimal(text)
    raise Refusal("INVALID_FIELD", 'an amount must be a number of major units, e.g. "12.50"')
