"""Eight measures of one family: what the peers' programs compute for each page and minute.

In: nothing.
Out: LIGHT.
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
