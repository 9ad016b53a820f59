"""What a user agent says: known bot or not, device, browser, operating system.

In: User-Agent texts.
Out: Agent, cached by text, since a log has few of them and the bot list is long.
Never: a list of bots or browsers of our own.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import ua_parser
from crawlerdetect import CrawlerDetect

_DETECT = CrawlerDetect()
#: Longer agents are judged by their beginning, so that a hostile one costs no time.
_MAX_AGENT = 1_024

_TABLET = re.compile(r"iPad|Tablet|Android(?!.*Mobile)")
_MOBILE = re.compile(r"Mobile|iPhone|iPod|Windows Phone")


@dataclass(frozen=True)
class Agent:
    """A user agent: whether it is a known bot, and the context columns that it fills."""

    automatic: bool
    context: Mapping[str, str]


@lru_cache(maxsize=10_000)
def read_agent(text: str) -> Agent:
    """What the agent is.

    Examples
    --------
    >>> read_agent("Mozilla/5.0 (Windows NT 6.1; rv:26.0) Gecko/20100101 Firefox/26.0").context["browser"]
    'Firefox'
    >>> read_agent("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)").automatic
    True
    """
    text = text[:_MAX_AGENT]
    if not text.strip() or text == "-":
        return Agent(False, {})
    automatic = bool(_DETECT.isCrawler(text))
    context: dict[str, str] = {"device": "bot" if automatic else _device(text)}
    found = ua_parser.parse(text)
    if found.user_agent:
        context["browser"] = found.user_agent.family
    if found.os:
        context["os"] = found.os.family
    return Agent(automatic, context)


def _device(text: str) -> str:
    if _TABLET.search(text):
        return "tablet"
    return "mobile" if _MOBILE.search(text) else "desktop"
