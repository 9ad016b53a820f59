"""Visitors: they open pages, fill in forms and click, over HTTP and in a real browser.

In: a shop's address, a seed.
Out: requests; a count of what the visitors saw happen.
Never: a word to the platform: what it learns, it learns from the shop.
"""

import random
import re
import shutil
import urllib.error
import urllib.parse
import urllib.request
from collections import Counter
from http.cookiejar import CookieJar

from examples.shop.catalogue import CONCERTS, DECLINED

GOOD = "4242424242424242"
AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"
CHROMIUM = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
_TOKEN = re.compile(r'name=csrfmiddlewaretoken value="([^"]+)"')
TIMEOUT_S = 15


class Visitor:
    """One person's client: cookies, and the form token of the page that is open."""

    def __init__(self, shop: str) -> None:
        self._shop = shop
        self._client = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
        self._token = ""
        self.place = ""

    def get(self, path: str) -> int:
        """Open a page; returns the status."""
        return self._ask(path, None)

    def post(self, path: str, **fields: str) -> int:
        """Send a form; returns the status of the page that comes of it."""
        return self._ask(path, urllib.parse.urlencode({"csrfmiddlewaretoken": self._token, **fields}).encode())

    def _ask(self, path: str, body: bytes | None) -> int:
        request = urllib.request.Request(self._shop + path, body, {"User-Agent": AGENT})
        try:
            with self._client.open(request, timeout=TIMEOUT_S) as answer:
                text, status = answer.read().decode(), int(answer.status)
                self.place = urllib.parse.urlsplit(answer.url).path
        except urllib.error.HTTPError as refused:
            with refused:
                text, status = refused.read().decode(), refused.code
        found = _TOKEN.search(text)
        self._token = found.group(1) if found else self._token
        return status


def visits(shop: str, number: int, seed: int) -> Counter[str]:
    """So many visits; counts `visits`, `signed_in`, `bought`, `tickets`, `declined`, `refunded`, `rated`."""
    draw, seen = random.Random(seed), Counter[str]()
    for n in range(number):
        visitor, concert = Visitor(shop), draw.choice(list(CONCERTS))
        seen["visits"] += _expect(visitor.get("/"), 200)
        if draw.random() < 0.5:
            seen["signed_in"] += _expect(visitor.post("/login", name=f"guest-{seed}-{n}"), 200)
        _expect(visitor.get(f"/events/{concert}"), 200)
        if draw.random() < 0.4:
            continue
        declined, quantity = draw.random() < 0.15, draw.randint(1, 4)
        status = visitor.post(f"/events/{concert}/buy", quantity=str(quantity), card=DECLINED if declined else GOOD)
        if declined:
            seen["declined"] += _expect(status, 402)
            continue
        seen["bought"] += _expect(status, 200)
        seen["tickets"] += quantity
        if draw.random() < 0.1:
            seen["refunded"] += _expect(visitor.post(visitor.place + "/refund"), 200)
        elif draw.random() < 0.3:
            seen["rated"] += _expect(visitor.post(f"/events/{concert}/feedback", rating=str(draw.randint(3, 5))), 200)
    return seen


def browse(shop: str, number: int) -> Counter[str]:
    """So many visits with headless Chromium, each of which buys; nothing where there is no Chromium."""
    seen = Counter[str]()
    path = shutil.which("chromium")
    if path is None:
        return seen
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=list(CHROMIUM))
        for _ in range(number):
            context = chromium.new_context(user_agent=AGENT)  # headless ones call themselves so, and count as bots
            page = context.new_page()
            page.goto(shop)
            page.get_by_text("Basement Jazz").click()
            page.get_by_role("button", name="buy").click()
            page.wait_for_url("**/orders/*")
            seen["visits"] += 1
            seen["bought"] += 1
            seen["tickets"] += 1
            context.close()
        chromium.close()
    return seen


def _expect(status: int, wanted: int) -> int:
    """1 when the shop answered as it should.

    Raises
    ------
    RuntimeError
        It did not.
    """
    if status != wanted:
        raise RuntimeError(f"the shop answered {status} where {wanted} was due")
    return 1
