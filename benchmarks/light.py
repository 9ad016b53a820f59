"""Eight measures of one family: what the peers' programs compute for each page and minute.

In: nothing.
Out: LIGHT, and any number of further ones.
Never: a measure of the product; these exist for comparison.
"""

from schemas.aggregates import ACTOR, Count, Quantile, Sum, Uniq
from schemas.measures import Measure

_BY = ("operation",)
_DECLARED = (
    Measure("light_requests", Count(), "performance", "true", _BY),
    Measure("light_time", Sum("response_time_ms"), "performance", "true", _BY),
    Measure("light_slow", Count(), "performance", "response_time_ms > 500", _BY),
    Measure("light_mobile", Count(), "performance", "device = 'mobile'", _BY),
    Measure("light_german", Count(), "performance", "country = 'DE'", _BY),
    Measure("light_errors", Count(), "performance", "status >= 500", _BY),
    Measure("light_users", Uniq(ACTOR), "performance", "true", _BY),
    Measure("light_latency", Quantile("response_time_ms"), "performance", "true", _BY),
)
LIGHT = {m.name: m for m in _DECLARED}


def many(number: int) -> dict[str, Measure]:
    """So many measures of the same family: the eight again and again, each time with conditions of their own."""
    out = dict(LIGHT)
    for copy in range(1, -(-number // len(LIGHT))):
        for one in _DECLARED:
            name = f"{one.name}_{copy}"
            out[name] = Measure(name, one.aggregate, "performance", f"{one.where} AND response_time_ms > {copy}", _BY)
    return dict(list(out.items())[:number])
