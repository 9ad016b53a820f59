"""The shop's pages; both variants show the same.

In: what a page tells.
Out: HTML with the browser snippet, when there is a collector.
Never: text of a visitor without escaping.
"""

import os
from decimal import Decimal
from html import escape
from importlib.resources import files

from footlights.currencies import decimals

from examples.shop.catalogue import CONCERTS, CURRENCY, Concert

SNIPPET = files("footlights").joinpath("browser/footlights.min.js").read_text()
COLLECTOR, KEY = os.environ.get("SHOP_COLLECTOR", ""), os.environ.get("SHOP_COLLECTOR_KEY", "")
_SCRIPT = (
    f'<script src="/footlights.min.js" data-endpoint="{COLLECTOR}" data-key="{KEY}"></script>' if COLLECTOR else ""
)


def page(title: str, body: str) -> str:
    """A whole page."""
    head = f"<meta charset=utf-8><title>{escape(title)}</title>{_SCRIPT}"
    return f"<!doctype html><html lang=en><head>{head}</head><body><h1>{escape(title)}</h1>{body}</body></html>"


def form(action: str, token: str, fields: str) -> str:
    """A form; `token` is the hidden field by which Django knows its own forms."""
    return f'<form method=post action="{action}">{token}{fields}</form>'


def price(amount_minor: int) -> str:
    """An amount as people write it."""
    places = decimals(CURRENCY)
    return f"{Decimal(amount_minor).scaleb(-places):.{places}f} {CURRENCY}"


def home(user: str | None, token: str = "") -> str:
    """All concerts, and a way to sign in."""
    items = "".join(f'<li><a href="/events/{c.id}">{escape(c.title)}</a>, {c.city}</li>' for c in CONCERTS.values())
    sign_in = form("/login", token, "<input name=name required><button>sign in</button>")
    return page("Tickets", f"<ul>{items}</ul>" + (f"<p>{escape(user)}</p>" if user else sign_in))


def event(concert: Concert, token: str = "") -> str:
    """One concert with its form."""
    fields = (
        "<input name=quantity type=number value=1 min=1 max=8><input name=card value=4242424242424242>"
        "<button data-track=buy_clicked>buy</button>"
    )
    shown = form(f"/events/{concert.id}/buy", token, fields)
    return page(concert.title, f"<p>{concert.city}, {price(concert.price_minor)}</p>{shown}")


def order(order_id: str, concert: Concert, quantity: int, amount_minor: int, *, refunded: bool, token: str = "") -> str:
    """An order, and ways to rate it or to give it back."""
    state = "given back" if refunded else "paid"
    rating = "<input name=rating type=number value=5 min=1 max=5><button>rate</button>"
    forms = form(f"/orders/{order_id}/refund", token, "<button>give back</button>")
    forms += form(f"/events/{concert.id}/feedback", token, rating)
    return page("Order", f"<p>{quantity} x {escape(concert.title)}, {price(amount_minor)}: {state}</p>{forms}")


def declined() -> str:
    """The bank said no."""
    return page("Payment declined", '<p>Your bank declined the payment.</p><a href="/">back</a>')
