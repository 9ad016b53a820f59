"""What a combined access log says, by a few lines of Python of their own.

In: a log, gzipped.
Out: counts.
Never: a line of the code under test.
"""

import gzip
import re
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from crawlerdetect import CrawlerDetect

LINE = re.compile(r'(\S+) .*?\[(\d+)/(\w+)/(\d+):[^]]*\] "(.*?)" (\d{3}) \S+ ".*?" "(.*?)"(?: \d+)?\s*$')
STATIC = re.split(
    " ",
    "css js mjs map png jpg jpeg gif ico svg webp avif bmp woff woff2 ttf otf eot mp3 mp4 m4a webm ogg ogv wav avi mov swf zip gz "
    "tgz bz2 xz 7z rar tar jar war deb rpm exe dmg iso bin apk pdf doc docx xls xlsx ppt pptx csv txt xml rss atom json",
)


@dataclass
class Count:
    """Lines that can be read, pages, pages that people saw, requests, errors, users, people by day."""

    lines: int = 0
    pages: int = 0
    seen_by_people: int = 0
    errors: int = 0
    bots: int = 0
    users: set[str] = field(default_factory=set)
    people: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))


def count(log: Path) -> Count:
    """Count a log."""
    out, crawlers = Count(), CrawlerDetect()
    known: dict[str, bool] = {}
    for raw in gzip.decompress(log.read_bytes()).decode(errors="replace").split("\n"):
        if (found := LINE.match(raw)) is None or found[2] + found[3] in ("30Feb", "31Feb"):
            continue
        address, day, month, year, request, status, agent = found.groups()
        words = request.split(" ")
        file = words[1].split("?")[0].split("#")[0].rsplit("/", 1)[-1] if len(words) > 1 else ""
        bot = known.setdefault(agent, crawlers.isCrawler(agent))
        page = words[0] == "GET" and "200" <= status < "400" and file.rpartition(".")[2].lower() not in STATIC
        page = page or (words[0] == "GET" and "200" <= status < "400" and "." not in file)
        out.lines += 1
        out.pages += page
        out.seen_by_people += page and not bot
        out.errors += status >= "500"
        out.bots += bot
        out.users.add(f"{address}|{agent}")
        if not bot:
            out.people[f"{year}-{month}-{day}"].add(f"{address}|{agent}")
    return out
