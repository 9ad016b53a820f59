"""An alert rule, and the series that prove it.

In: nothing.
Out: Rule, Proof.
Never: a rule without a proof: when it fires, when it does not, that it resolves, and that no data are no alarm.
"""

import re
from dataclasses import dataclass, field

RUNBOOKS = "https://github.com/footlights/footlights/blob/main/docs/runbooks"
PAGE, TICKET, NONE = "page", "ticket", "none"
#: Causes silence the symptoms that they bring about; business figures are silenced by nobody.
CAUSE, SYMPTOM, BUSINESS = "cause", "symptom", "business"


@dataclass(frozen=True)
class Series:
    """A series in a proof: its value in good and in bad times, None where it is away, or for a counter its growth a minute.

    A counter begins with `start`.

    With `catches_up`, a counter goes on after the bad time as if that had never been.
    """

    name: str
    good: float
    bad: float | None
    counter: bool = False
    start: float = 0
    catches_up: bool = False


@dataclass(frozen=True)
class Proof:
    """Series that make a rule fire, and for how many minutes they must be bad; `labels` of the alert that then stands.

    Of a rule that a single burst fires, `first` is what its counter has as it appears, with no sample before. `without_data` tells
    how many alerts fire where there is no series at all: none, but of a rule about something missing.
    """

    series: tuple[Series, ...]
    bad_minutes: int
    labels: dict[str, str] = field(default_factory=dict)
    settle_minutes: int = 15
    first: float | None = None
    without_data: int = 0


@dataclass(frozen=True)
class Rule:
    """One alert. `summary` may use Prometheus' templates; `{{ $value }}` is the value that fired."""

    name: str
    group: str
    expr: str
    for_: str
    severity: str
    role: str
    summary: str
    description: str
    proof: Proof | None

    @property
    def page(self) -> str:
        """File name of its runbook: the alert's name in words.

        Examples
        --------
        >>> Rule("LedgerGap", "g", "e", "1m", "page", "cause", "s", "d", None).page
        'ledger-gap.md'
        """
        return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", self.name).lower() + ".md"

    @property
    def runbook_url(self) -> str:
        """Where its runbook is read."""
        return f"{RUNBOOKS}/{self.page}"


@dataclass(frozen=True)
class Recording:
    """A recorded expression."""

    name: str
    expr: str


#: For so long a series must have been away to count as new: one scrape that fails proves nothing.
NEW_AFTER = "5m"


def grown(selector: str, window: str) -> str:
    """By how much counters grew in a window, those that appear in it from nothing.

    `increase()` alone sees growth between two samples, and of a counter that appears with its first increment it sees none. Where a
    process was not scraped for five minutes, its counters are new again, and what they held may be told a second time.

    Examples
    --------
    >>> grown("x_total", "10m")
    '(x_total unless last_over_time(x_total[5m] offset 10m) or increase(x_total[10m]))'
    """
    return (
        f"({selector} unless last_over_time({selector}[{NEW_AFTER}] offset {window}) or increase({selector}[{window}]))"
    )


def minutes(text: str) -> int:
    """Whole minutes of a duration, rounded up.

    Examples
    --------
    >>> minutes("90s"), minutes("5m"), minutes("1h"), minutes("3d")
    (2, 5, 60, 4320)
    """
    number, unit = int(text[:-1]), text[-1]
    return -(-number * {"s": 1, "m": 60, "h": 3_600, "d": 86_400}[unit] // 60)
