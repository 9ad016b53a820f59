"""Money in the reporting currency, from a dated and versioned table of whole-number rates.

In: amounts in minor units, their currency and time.
Out: the same formula for polars and for ClickHouse.
Never: a float, or a row without a rate that silently counts as nothing: its amount is null, and such rows are
  counted.

`rates.csv` holds planning rates: `micro` millionths of a minor unit of the reporting currency for one minor unit of
`currency`, from `valid_from` (UTC) on. Operators replace the file with their own and raise RATES_VERSION.
"""

import csv
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files

import polars as pl

REPORTING_CURRENCY = "USD"
RATES_VERSION = 1
MILLION = 1_000_000
MAX_AMOUNT_MINOR = 10**12
EARLIEST_MS = 946_684_800_000  # 2000-01-01: older records are refused

#: Name of the derived column of commerce records: the amount in the reporting currency's minor units, null without a rate.
REPORTING = "reporting_minor"


@cache
def rates() -> dict[str, list[tuple[int, int]]]:
    """Currency to (valid from, epoch ms; micro), newest first."""
    out: dict[str, list[tuple[int, int]]] = {}
    with files(__package__).joinpath("rates.csv").open() as lines:
        for row in csv.DictReader(lines):
            since = datetime.fromisoformat(row["valid_from"]).replace(tzinfo=UTC)
            out.setdefault(row["currency"], []).append((int(since.timestamp()) * 1000, int(row["micro"])))
    return {currency: sorted(dated, reverse=True) for currency, dated in out.items()}


def reporting_minor(amount_minor: int | None, currency: str | None, occurred_at_ms: int) -> int | None:
    """An amount in the reporting currency, halves rounded up; None without an amount or a rate.

    Examples
    --------
    >>> reporting_minor(50_000, "INR", 1_700_000_000_000)
    600
    """
    for since, micro in rates().get(currency or "", []):
        if occurred_at_ms >= since and amount_minor is not None:
            return (amount_minor * micro + MILLION // 2) // MILLION
    return None


def reporting_polars() -> pl.Expr:
    """`reporting_minor` of a frame with amount_minor, currency and occurred_at_ms.

    A look into a table of all currencies for each date from which rates hold: a chain of conditions took twice the time.
    """
    dated = rates()
    place = pl.col("currency").cast(pl.Enum(list(dated)), strict=False).to_physical()
    micro = pl.lit(None, dtype=pl.Int64)
    for date in sorted({since for known in dated.values() for since, _ in known}):
        table = [next((micro for since, micro in known if since <= date), None) for known in dated.values()]
        held = pl.lit(pl.Series("micro", table, pl.Int64)).gather(place)
        micro = held if date <= EARLIEST_MS else pl.when(pl.col("occurred_at_ms") >= date).then(held).otherwise(micro)
    return ((pl.col("amount_minor") * micro + MILLION // 2) // MILLION).alias(REPORTING)


def reporting_sql() -> str:
    """`reporting_minor` as a ClickHouse expression over the columns of events_commerce."""
    cases = ", ".join(
        f"currency = '{currency}' AND occurred_at_ms >= {since}, {value}"
        for currency, dated in rates().items()
        for since, value in dated
    )
    return f"intDiv(amount_minor * multiIf({cases}, NULL) + {MILLION // 2}, {MILLION})"
