"""Measures: additive or mergeable aggregates over event families, declared once for stream and store.

In: declarations.
Out: checked measures, and per family the groups that share dimensions.
Never: a predicate that an engine could read in its own way.

A measure over several families is their union: counts and sums add up, distinct counts merge.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from schemas.aggregates import ACTOR, Aggregate, Quantile, Sum, Uniq
from schemas.families import FAMILIES, LONG, STRING
from schemas.money import REPORTING
from schemas.predicates import Refused, canonical
from schemas.sentiment import SENTIMENT

TENANT = "tenant_id"


def kinds_of(family: str) -> dict[str, str]:
    """Columns that a measure of the family may use, derived ones included."""
    kinds = dict(FAMILIES[family].kinds)
    if family == "commerce":
        kinds[REPORTING] = LONG
    if family == "feedback":
        kinds[SENTIMENT] = LONG
    return kinds


@dataclass(frozen=True)
class Measure:
    """An aggregate of the rows of one or several families that a predicate selects.

    Parameters
    ----------
    name
        Unique name, a noun in the plural where it counts.
    aggregate
        Count(), Sum(column), Uniq(column or ACTOR) or Quantile(column).
    of
        Family, or families whose union it is.
    where
        SQL predicate in the subset of `schemas.predicates`; kept in canonical form.
    by
        Dimensions: string columns with few values. The whole is merged from them.
    help
        What it means, in a sentence.
    """

    name: str
    aggregate: Aggregate
    of: tuple[str, ...] | str
    where: str = "true"
    by: tuple[str, ...] = ()
    help: str = ""
    families: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        families = (self.of,) if isinstance(self.of, str) else self.of
        object.__setattr__(self, "families", families)
        object.__setattr__(self, "by", tuple(sorted(self.by)))
        for family in families:
            kinds = kinds_of(family)
            object.__setattr__(self, "where", canonical(self.where, kinds))
            self._check_column(kinds)
            if unknown := [c for c in self.by if kinds.get(c) != STRING]:
                raise Refused(f"measure {self.name}: {unknown[0]} is no string column of {family}")

    def _check_column(self, kinds: dict[str, str]) -> None:
        match self.aggregate:
            case Sum(column) | Quantile(column) if kinds.get(column) != LONG:
                raise Refused(f"measure {self.name}: {column} is no long column")
            case Uniq(column) if column != ACTOR and kinds.get(column) != STRING:
                raise Refused(f"measure {self.name}: {column} is no string column")


@dataclass(frozen=True)
class Group:
    """The measures of a family that share dimensions; `by` excludes the tenant, which is always first."""

    by: tuple[str, ...]
    measures: tuple[Measure, ...]


def groups_of(family: str, measures: Iterable[Measure]) -> tuple[Group, ...]:
    """The family's measures by their dimensions, the whole first; it is there even without measures, for its row counts."""
    mine = [m for m in measures if family in m.families]
    dimensions = dict.fromkeys([(), *(m.by for m in mine)])
    return tuple(Group(by, tuple(m for m in mine if m.by == by)) for by in dimensions)
