"""footlights: a service publishes its events with two lines.

In: events.
Out: Client, Outbox, Money, Outcome, Refusal, the pseudonymisers, ids.
Never: a configured logger, or an exception that the host did not ask for.
"""

from footlights.client import Client
from footlights.ids import uuid7, uuid7_of
from footlights.outbox import Outbox
from footlights.outcome import Money, Outcome, Refusal
from footlights.pseudonyms import HmacPseudonymiser, Pseudonymiser
from footlights.subjects import SubjectIds

__all__ = [
    "Client",
    "HmacPseudonymiser",
    "Money",
    "Outbox",
    "Outcome",
    "Pseudonymiser",
    "Refusal",
    "SubjectIds",
    "uuid7",
    "uuid7_of",
]
