"""The three meanings of a failure.

In: nothing.
Out: error classes.
Never: a fault that is retried because nobody said what it is.
"""

from schemas.topics import TopicsDiffer


class SinkError(Exception):
    """The sink must stop; the message says what to do."""


class Transient(Exception):
    """The store or Kafka cannot answer just now; the same bytes go again."""


class Fenced(SinkError):
    """Another sink has taken the partition over; going on would write twice."""


class WrongTopics(SinkError, TopicsDiffer):
    """A topic has other partitions than declared, or is not the one that the store was filled from."""


class MigrationError(SinkError):
    """The tables cannot be brought up to date."""
