"""The demo's ticket shop: two real web applications, real requests and a real browser, and what the store knows of them.

In: a running stack; `examples/shop` of this repository.
Out: what the shop's visitors saw beside what analysts see.
Never: a figure that the shop tells the platform by another way than the SDK.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from rich.table import Table

from infra.addresses import resolve, state_of
from infra.query import json_rows
from infra.settings import Settings

ROOT = Path(__file__).parents[2]
TIMEOUT_S = 150
VISITS, BROWSER = 40, 3
#: What visitors saw, and the count of records that says the same.
SAME = {
    "bought": "ticket_purchased", "tickets": "tickets", "declined": "payment_failed", "refunded": "refund_issued",
    "rated": "feedback_given", "signed_in": "user_logged_in",
}  # fmt: skip
COUNTS = """
SELECT source, event_name AS name, count() AS n FROM footlights.{table} WHERE source LIKE 'shop-%' GROUP BY source, name
"""
TICKETS = """
SELECT source, 'tickets' AS name, sum(quantity) AS n FROM footlights.events_commerce
WHERE source LIKE 'shop-%' AND event_name = 'ticket_purchased' GROUP BY source
"""
TABLES = ("events_commerce", "events_feedback", "events_account", "events_interaction", "events_performance")


def there() -> bool:
    """Whether the shop is here: it belongs to the repository, not to the package."""
    return (ROOT / "examples" / "shop" / "run.py").exists()


def visit(settings: Settings) -> dict[str, dict[str, int]]:
    """Start the shop, let visitors in, stop it; returns what they saw, by source.

    Raises
    ------
    RuntimeError
        The shop failed; the message is its last line.
    """
    from footlights.collector.keys import KeyFile

    addresses, folder = resolve(settings), settings.data_dir / "shop"
    folder.mkdir(exist_ok=True)
    collector = ((state_of(settings.data_dir) or {}).get("addresses") or {}).get("collector")
    environment = {
        **os.environ, "SHOP_KAFKA": addresses.kafka, "SHOP_SCHEMA_REGISTRY": addresses.schema_registry,
        "SHOP_FOLDER": str(folder), "ANALYTICS_PSEUDONYM_KEY": settings.pseudonym_key(), "ANALYTICS_ENABLED": "true",
    }  # fmt: skip
    if collector:
        token, _ = KeyFile(settings.keys_file()).create("write", name="demo-shop", source="shop-browser")
        environment |= {"SHOP_COLLECTOR": collector, "SHOP_COLLECTOR_KEY": token}
    words = ["-m", "examples.shop.run", "--visits", str(VISITS), "--browser", str(BROWSER)]
    done = subprocess.run(
        [sys.executable, *words],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    if done.returncode:
        raise RuntimeError((done.stderr.strip().splitlines() or ["it ended without a word"])[-1])
    seen: dict[str, dict[str, int]] = json.loads(done.stdout)
    return seen


def stored(client: Any) -> dict[str, dict[str, int]]:
    """Records of the shop in the store, by source and name."""
    out: dict[str, dict[str, int]] = {}
    for sql in (*(COUNTS.format(table=table) for table in TABLES), TICKETS):
        for row in json_rows(client, sql)[1]:
            out.setdefault(row["source"], {})[row["name"]] = row["n"]
    return out


def differences(seen: dict[str, dict[str, int]], held: dict[str, dict[str, int]]) -> list[str]:
    """What the visitors saw and the store does not say."""
    return [
        f"{source}: visitors saw {saw.get(what, 0)} {what}, the store has {held.get(source, {}).get(name, 0)}"
        for source, saw in seen.items()
        for what, name in SAME.items()
        if saw.get(what, 0) != held.get(source, {}).get(name, 0)
    ]


def table(seen: dict[str, dict[str, int]], held: dict[str, dict[str, int]]) -> Table:
    """Both, side by side."""
    made = Table(title="the ticket shop: what its visitors saw, and what the store says", title_justify="left")
    made.add_column("shop")
    for what in ("visits", *SAME):
        made.add_column(what.replace("_", " "), justify="right")
    made.add_column("page views", justify="right")
    for source, saw in seen.items():
        has = held.get(source, {})
        cells = [f"{saw.get(what, 0)} = {has.get(name, 0)}" for what, name in SAME.items()]
        made.add_row(source, str(saw["visits"]), *cells, str(has.get("page_view", 0)))
    if browser := held.get("shop-browser"):
        made.add_row("shop-browser", *["" for _ in range(len(SAME) + 1)], str(browser.get("page_view", 0)))
    return made
