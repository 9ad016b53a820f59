"""Every metric of the product, whichever way it is computed.

In: the declarations of the stream and of the cohorts.
Out: METRICS.
Never: two metrics of one name.
"""

from schemas.cohorts import COHORTS
from schemas.kpis import KPIS
from schemas.metric import Metric

if twice := KPIS.keys() & COHORTS.keys():
    raise ValueError(f"declared twice: {', '.join(sorted(twice))}")

METRICS: dict[str, Metric] = {**KPIS, **COHORTS}
