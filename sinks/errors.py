"""The three meanings of a failure.

In: nothing.
Out: error classes.
Never: a fault that is retried because nobody said what it is.
"""


class SinkError(Exception):
    """The sink must stop; the message says what to do."""


class Transient(Exception):
    """The store or Kafka cannot answer just now; the same bytes go again."""


class Fenced(SinkError):
    """Another sink has taken the partition over; going on would write twice."""


class MigrationError(SinkError):
    """The tables cannot be brought up to date."""
