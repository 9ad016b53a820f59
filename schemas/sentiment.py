"""How a text of feedback sounds, as a whole number that stream and sink compute alike and ClickHouse can sum exactly.

In: texts.
Out: `sentiment_milli`, -1000 (worst) to 1000 (best), null without a text.
Never: a network, or a text that is kept.

The score is the compound value of VADER (Hutto and Gilbert, 2014: a lexicon and rules for short English texts), times 1,000 and
rounded. At most -50 is negative and at least 50 positive, by the thresholds of its authors.
"""

from functools import cache, lru_cache
from typing import Any

import polars as pl

SENTIMENT = "sentiment_milli"
NEGATIVE_MILLI, POSITIVE_MILLI = -50, 50
#: What lies behind this many characters says little and costs much.
MOST_CHARACTERS = 4_000


@cache
def _analyser() -> Any:
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    return SentimentIntensityAnalyzer()


@lru_cache(maxsize=4_096)
def score_milli(text: str) -> int:
    """Score of a text.

    Examples
    --------
    >>> score_milli("What a great show!") > 500, score_milli("The seats were awful.") < -200, score_milli("Gate B.")
    (True, True, 0)
    """
    compound: float = _analyser().polarity_scores(text[:MOST_CHARACTERS])["compound"]
    return round(1_000 * compound)


def with_sentiment(frame: pl.DataFrame) -> pl.DataFrame:
    """A frame of feedback with the column `sentiment_milli` beside its `text`."""
    scores = [None if text is None else score_milli(text) for text in frame["text"].to_list()]
    return frame.with_columns(pl.Series(SENTIMENT, scores, pl.Int64))
