"""A metric that no stream of partials can give: SQL over the days of people and the events, for one calendar day at a time.

In: a query with placeholders.
Out: CohortMetric.
Never: a value of a user in a query; the placeholders take dates, a zone and names of our own.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from schemas.metric import Metric
from schemas.windows import DAY, bucket_start_ms

DATABASE = "footlights"
_EPOCH = date(1970, 1, 1)
#: Tables that a query may name, and what stands for them.
TABLES: dict[str, str] = {name: f"{DATABASE}.{name}" for name in ("user_days", "user_first_days", "hosted_event_days")}


@dataclass(frozen=True)
class CohortMetric(Metric):
    """A figure of calendar days; its definition is a ClickHouse query of one day.

    The query gives tenant_id, by (key=value, or empty), value (null at a zero base) and row_count, and may use `{day}` (a Date),
    `{start}` and `{end}` (the day's instants), `{on_day}` (a row of the day), `{zone}`, and a name of TABLES.

    Parameters
    ----------
    matures_days
        Days after its own that a day's figure waits for before it is final.
    ripens
        Whether a row of any of these days changes the figure, and not of the last of them alone.
    looks_back_days
        How many days before its own a day's figure is computed from: a late row changes the figures of as many days after it.
    whole
        Whether there is a figure of the whole; else only of each value of its dimension.
    """

    matures_days: int = 0
    ripens: bool = False
    looks_back_days: int = 0
    whole: bool = True

    def sql(self, day: int, zone: str, tables: Mapping[str, str] = TABLES) -> str:
        """The query of a day, numbered from the epoch; `tables` stand for the names of daily tables."""
        start_ms, end_ms = (bucket_start_ms(day + i, DAY, zone) for i in (0, 1))
        start, end = (f"fromUnixTimestamp64Milli({ms}, 'UTC')" for ms in (start_ms, end_ms))
        return self.definition.format(
            day=f"toDate('{_EPOCH + timedelta(days=day)}')",
            start=start,
            end=end,
            on_day=f"_excluded = '' AND occurred_at >= {start} AND occurred_at < {end}",
            zone=zone,
            **tables,
        )
