"""Personal data and secrets out of texts and properties, before an event leaves.

In: text, JSON-like properties.
Out: the same with each finding replaced by its kind in brackets, and how many there were.
Never: more than linear time, or a finding told anywhere.

Cards are digits that an issuer begins, of its length, with Luhn's check digit; Luhn's digit alone takes one in ten random numbers
for a card.
"""

import base64
import binascii
import re
import unicodedata
from collections.abc import Mapping
from functools import lru_cache
from ipaddress import ip_address
from typing import Any, Final
from urllib.parse import unquote

from footlights.checks import MAX_DEPTH
from footlights.outcome import Refusal

#: What was found, by kind.
Found = dict[str, int]

MAX_TEXT: Final = 65_536
NAMES_REMEMBERED: Final = 4_096
_maybe = re.compile(r"[@:=%]|\d{7}|\d[ .()/-]\d|bearer|-----|a[ks]ia|[A-Za-z0-9+/_-]{24}|[^\x00-\x7f]", re.I).search
_EMAIL = re.compile(r"[A-Za-z0-9._%+'-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24}")
_DIGITS = re.compile(r"(?<![\d.])(?:\d[ .-]?){12,18}\d(?!\d)")
_IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?:[ -]?[A-Z0-9]{1,4}){3,8}\b", re.I | re.A)
_IPV4 = re.compile(r"(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?![\d.]*\d)")
_IPV6 = re.compile(r"(?<![0-9a-f:.])(?=[0-9a-f:]*:[0-9a-f:]*:)[0-9a-f:]{3,39}(?:\.\d{1,3}){0,3}(?![0-9a-f:])", re.I)
_PHONE = re.compile(
    r"(?<![\w.+/-])(?:\+\d{1,3}[ ./-]?(?:\(\d{1,4}\)[ ./-]?)?(?:\d[ ./-]?){6,12}\d"
    r"|\(0?\d{2,5}\)[ ./-]?(?:\d[ ./-]?){4,9}\d"
    r"|00[1-9]\d{0,2}[ ./-](?:\d[ ./-]?){6,12}\d"
    r"|0\d{1,4}[ /-](?:\d[ /-]?){4,9}\d"
    r"|\d{3}[ .-]\d{3}[ .-]\d{4})(?![\w]|[./-]\d)"
)
_SECRETS = re.compile(
    r"(?P<jwt>\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]{4,})|(?P<pem>-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----[^-]{0,8192}"
    r"(?:-----END [A-Z ]{0,40}-----)?)"
    r"|(?P<aws>\b(?:AKIA|ASIA)[A-Z0-9]{16}\b)|(?P<live>\b(?:sk|rk|pk)_(?:live|test)_\w{16,}|\bgh[pousr]_\w{30,}|\bxox[abpr]-[\w-]{10,})"
    r"|(?P<bearer>\bbearer\s+[\w.~+/=-]{12,})"
    r"|(?P<pair>\b(?:password|passwd|pwd|secret|token|api[_-]?key|access[_-]?key|authorization)\b\s{0,3}[=:]\s{0,3}[\"']?(?:(?:bearer|basic)\s{1,3})?[^\s\"'&,;]{4,})",
    re.I,
)
_FORBIDDEN = re.compile(
    r"(?:^|[_\-. ])(?:pass(?:word|wd|phrase|code)?|pwd|secret|token|api[_-]?key|apikey|access[_-]?key|private[_-]?key|"
    r"authorization|auth|cookie|set[_-]?cookie|cvv2?|cvc2?|pin|ssn|social[_-]?security(?:[_-]?number)?|otp|credentials?|"
    r"card[_-]?(?:number|no|num|pan)|pan|iban|credit[_-]?card)(?:$|[_\-. ](?:hash|value|1|2|3|4)$)",
    re.I,
)
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{24,4096}={0,2}")
#: Lengths of IBANs by country (SWIFT's registry).
_IBAN_LENGTHS: Final = {
    country: int(length)
    for country, length in re.findall(
        r"([A-Z]{2})(\d+)",
        "AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DK18 DO28 EE20 EG29 ES24 FI18 FO18 FR27 "
        "GB22 GE22 GI23 GL18 GR27 GT28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 KW30 KZ20 LB28 LC32 LI21 LT20 LU20 LV21 LY25 MC27 "
        "MD24 ME22 MK19 MR27 MT31 MU30 NL18 NO15 PK24 PL28 PS29 PT25 QA29 RO24 RS22 SA24 SC31 SE24 SI19 SK24 SM27 ST25 SV28 TL23 "
        "TN24 TR26 UA29 VA22 VG24 XK20 ",
    )
}
#: Issuers: first digits and lengths.
_ISSUERS: Final = (
    (re.compile(r"4"), (13, 16, 19)),
    (re.compile(r"5[1-5]|222[1-9]|22[3-9]|2[3-6]|27[01]|2720"), (16,)),
    (re.compile(r"3[47]"), (15,)),
    (re.compile(r"6011|65|64[4-9]|622"), (16, 19)),
    (re.compile(r"35(?:2[89]|[3-8])"), (16,)),
    (re.compile(r"30[0-5]|36|38|39"), (14,)),
    (re.compile(r"62"), (16, 17, 18, 19)),
    (re.compile(r"50|5[6-8]|6[0379]"), (13, 15, 16, 17, 18, 19)),
)


def scrub_text(text: str) -> tuple[str, Found]:
    """A text without personal data, and what was found by kind.

    Examples
    --------
    >>> scrub_text("mail rosa@example.org or call +49 30 901820")[0]
    'mail [email] or call [phone]'
    """
    found: Found = {}
    return scrubbed(text, found), found


def scrubbed(text: str, found: Found) -> str:
    """A text without personal data; what was found is added to `found`."""
    if not _maybe(text):
        return text
    out = text[:MAX_TEXT]
    if not out.isascii():
        out = unicodedata.normalize("NFKC", out)
    seen = sum(found.values())
    if "%" in out and (plain := unquote(out)) != out and (clean := _scrub(plain, found)) != plain:
        return clean + text[MAX_TEXT:]
    clean = _decoded(_scrub(out, found), found)
    return clean + text[MAX_TEXT:] if sum(found.values()) != seen else text


def _count(kind: str, found: Found, more: int = 1) -> None:
    found[kind] = found.get(kind, 0) + more


def _scrub(text: str, found: Found) -> str:
    def put(kind: str) -> Any:
        def replace(match: re.Match[str]) -> str:
            _count(kind, found)
            return f"[{kind}]"

        return replace

    def checked(kind: str, holds: Any) -> Any:
        def replace(match: re.Match[str]) -> str:
            if not holds(match[0]):
                return match[0]
            _count(kind, found)
            return f"[{kind}]"

        return replace

    text = _SECRETS.sub(put("secret"), text)
    if "@" in text:
        text = _EMAIL.sub(put("email"), text)
    if not any(map(str.isdigit, text)) and ":" not in text:
        return text
    text = _IBAN.sub(lambda match: _iban_of(match[0], found), text)
    text = _DIGITS.sub(checked("card", _is_card), text)
    if "." in text:
        text = _IPV4.sub(checked("ip", _is_ip), text)
    if ":" in text:
        text = _IPV6.sub(checked("ip", _is_ip), text)
    return _PHONE.sub(checked("phone", _is_phone), text)


def _is_card(text: str) -> bool:
    digits = re.sub(r"\D", "", text)
    if not any(prefix.match(digits) and len(digits) in lengths for prefix, lengths in _ISSUERS):
        return False
    separators = set(re.findall(r"\D", text))
    if len(separators) > 1 or len(set(digits)) == 1:
        return False
    return _luhn(digits)


def _luhn(digits: str) -> bool:
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 + place % 2)
        total += value - 9 * (value > 9)
    return total % 10 == 0


def _iban_of(text: str, found: Found) -> str:
    """The text without the IBAN that it begins with; a match may hold words behind it."""
    country = text[:2].upper()
    length = _IBAN_LENGTHS.get(country, 0)
    places = [place for place, letter in enumerate(text) if letter.isalnum()]
    if not length or len(places) < length:
        return text
    end = places[length - 1] + 1
    iban = "".join(text[place] for place in places[:length]).upper()
    number = int("".join(str(int(letter, 36)) for letter in iban[4:] + iban[:4]))
    if number % 97 != 1 or (end < len(text) and text[end].isalnum()):
        return text
    _count("iban", found)
    return "[iban]" + text[end:]


def _is_ip(text: str) -> bool:
    try:
        address = ip_address(text)
    except ValueError:
        return False
    return not address.is_unspecified


def _is_phone(text: str) -> bool:
    digits = re.sub(r"\D", "", text)
    if not 7 <= len(digits) <= 15 or len(set(digits)) < 3:
        return False
    # Dates and times have separators too.
    return not re.fullmatch(r"0?\d{1,2}[ ./-]\d{1,2}[ ./-](?:19|20)\d{2}.*|(?:19|20)\d{2}[ ./-].*", text)


def _decoded(text: str, found: Found) -> str:
    """The text without encoded pieces that hold personal data."""

    def replace(match: re.Match[str]) -> str:
        piece = match[0]
        try:
            raw = base64.b64decode(piece.replace("-", "+").replace("_", "/") + "=" * (-len(piece) % 4), validate=True)
            plain = raw.decode("ascii")
        except (binascii.Error, ValueError):
            return piece
        inner: Found = {}
        if not plain.isprintable() or _scrub(plain, inner) == plain:
            return piece
        for kind, number in inner.items():
            _count(kind, found, number)
        return f"[{next(iter(inner))}]"

    return _BASE64.sub(replace, text) if len(text) >= 24 else text


def scrub_properties(properties: Mapping[str, Any]) -> tuple[Mapping[str, Any], Found]:
    """Properties without personal data, and what was found by kind; the same object when nothing was.

    Raises
    ------
    Refusal
        EVENT_TOO_LARGE for properties that are nested deeper than can be looked into.

    Examples
    --------
    >>> scrub_properties({"password": "x", "note": {"to": "rosa@example.org"}, "seat": "A1"})[0]
    {'password': '[secret]', 'note': {'to': '[email]'}, 'seat': 'A1'}
    """
    found: Found = {}
    if not properties:
        return properties, found
    try:
        out = _object(properties, found)
    except RecursionError:
        raise Refusal("EVENT_TOO_LARGE", f"properties are nested deeper than {MAX_DEPTH}") from None
    return (out if found else properties), found


def _object(value: Mapping[Any, Any], found: Found) -> dict[Any, Any]:
    out = {}
    for key, inner in value.items():
        odd, forbidden = _judged(key) if isinstance(key, str) else (False, False)
        if forbidden and _tells(inner):
            _count("secret", found)
            clean: Any = "[secret]"
        else:
            clean = _clean(inner, found)
        out[_clean(key, found) if odd else key] = clean
    return out


def _tells(value: Any) -> bool:
    """Whether a value under a secret name is a secret: a text or a number, and not yet redacted."""
    return isinstance(value, str | int | float) and not isinstance(value, bool) and value not in ("", "[secret]")


def _clean(value: Any, found: Found) -> Any:
    if isinstance(value, str):
        return scrubbed(value, found)
    if isinstance(value, Mapping):
        return _object(value, found)
    if isinstance(value, list | tuple):
        return [_clean(inner, found) for inner in value]
    if isinstance(value, int) and not isinstance(value, bool) and 10**12 < value < 10**19 and _is_card(str(value)):
        _count("card", found)
        return "[card]"
    return value


@lru_cache(maxsize=NAMES_REMEMBERED)
def _judged(name: str) -> tuple[bool, bool]:
    """Whether a name may hold personal data itself, and whether what stands under it is a secret."""
    odd = "@" in name or any(map(str.isdigit, name))
    return odd, _FORBIDDEN.search(_CAMEL.sub("_", name)) is not None
