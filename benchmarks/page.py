"""docs/benchmarks.md, written from the results.

In: results.json, peers.json, collection.json, service.json.
Out: the page.
Never: a figure that is not in the results.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
MISSED_S = 6  # FOOTLIGHTS_SESSION_TIMEOUT_S
PAGE = HERE.parent / "docs" / "benchmarks.md"

WHAT = {
    "limit_a": "confluent-kafka, fastavro one by one, numpy windows; no deduplication, no checkpoint",
    "limit_b": "confluent-kafka, our columnar decoder, numpy windows; no deduplication, no checkpoint",
    "footlights_chain": "the real worker: fetch, decode, deduplicate, all measures, checkpoint, commit",
    "footlights_chain_500": "the same in small batches",
    "footlights_chain_backlog": "the same in batches as a backlog gives them by itself",
    "light_8_measures": "on a backlog with eight measures of one family, as the peers' programs compute",
    "footlights_with_kpis": "one worker with both stages: the KPI stage included",
    "faust_table": "stock Faust: an agent that decodes Avro and counts in a table",
    "memory_1m_users": "the worker while a million distinct users pass",
    "sink_fast": "sink and engine together: fetch, decode, validity, deduplication, insert, batch record",
}


def goals(results: dict[str, Any]) -> list[tuple[str, str, bool]]:
    """(goal, what was measured, reached)."""
    chain, light = results["footlights_chain"], results["light_8_measures"]
    cheaper = results["faust_table"]["cpu_us_per_event"] / chain["cpu_us_per_event"]
    rows, memory = results["sink_fast"]["rows_per_core_s"], results["memory_1m_users"]["rss_mib"]
    return [
        (
            "chain at most 6 µs an event at batches of 2,000",
            f"{chain['cpu_us_per_event']:.2f} µs",
            chain["cpu_us_per_event"] <= 6,
        ),
        ("chain at most 1.0 × limit A", f"{chain['per_limit_a']:.2f} ×", chain["per_limit_a"] <= 1),
        ("at least 40 times cheaper than stock Faust", f"{cheaper:.0f} times", cheaper >= 40),
        ("eight measures at most 4.0 µs", f"{light['cpu_us_per_event']:.2f} µs", light["cpu_us_per_event"] <= 4),
        ("sink at least 300,000 rows a second per core of its process", f"{rows:,.0f} rows/s", rows >= 300_000),
        ("worker at most 600 MiB at a million users", f"{memory:.0f} MiB", memory <= 600),
    ]


#: What eight measures may cost of Flink's time in one run: 4.0 of 4.2.
FLINK_SHARE = 0.95
PEERS = {
    "footlights": "our worker: batches through Faust",
    "kafka_streams": "Kafka Streams 4.3: processor API, in-memory stores with changelogs, exactly once v2",
    "flink": "Flink 2.3: local cluster, heap state, exactly-once checkpoints to a folder",
}


def _peers(peers: dict[str, Any]) -> list[str]:
    """The section on other engines; nothing before they were measured."""
    if not peers:
        return []
    lines = [
        "## Beside Kafka Streams and Flink",
        "",
        "Written by `make bench-peers`: the same records of the same topic in the same run, eight measures of one family by",
        "operation and minute, two of them sketches, repeats removed, state made safe each second. One process each; what they",
        "do with the first third of the records, while they warm up, is left out.",
        "",
        "| engine | µs CPU/event | × footlights | resident MiB | what it is |",
        "|---|---|---|---|---|",
    ]
    for name, what in PEERS.items():
        p = peers[name]
        lines.append(
            f"| {name} | {p['cpu_us_per_event']:.2f} | {p['per_footlights']:.2f} | {p['rss_mib']:.0f} | {what} |"
        )
    share = 1 / peers["flink"]["per_footlights"]
    return [
        *lines,
        "",
        f"The goal of 4.0 µs was set on a machine where Flink took 4.2, {FLINK_SHARE} of it. In this run it is {share:.2f}",
        "of Flink's: reached." if share <= FLINK_SHARE else "of Flink's: not reached.",
        "",
    ]


def _service(found: dict[str, Any]) -> list[str]:
    """The section on a whole stack; nothing before it was measured."""
    if not found:
        return []
    took, pause, alert, again = (found.get(name) for name in ("latency_s", "checkpoint_pause_s", "alert_s", "recovery"))
    assert took and pause and again
    rows = [
        ("event occurred → its point published, p95 ≤ 3 s", took["point published"]["p95"], 3.0, "s"),
        ("event occurred → its row in the store, p95 ≤ 5 s", took["event stored"]["p95"], 5.0, "s"),
        ("event occurred → its point in the store, p95 ≤ 5 s", took["point queryable"]["p95"], 5.0, "s"),
        (
            "pause of a checkpoint: the worker takes no batch, p99 ≤ 0.1 s",
            pause["p99_at_most"],
            0.1,
            "s (upper bound of its bucket)",
        ),
        (
            "worker killed with a day of state: the next one has its partitions → state recovered ≤ 10 s",
            again["from_assigned_s"],
            10.0,
            "s",
        ),
    ]
    if alert:
        rows.insert(
            3, ("first failed payment → alert pending in Prometheus, slowest of five ≤ 15 s", alert["max"], 15.0, "s")
        )
    return [
        "## A whole stack under load",
        "",
        f"Written by `make bench-service`: {found['canaries']} canaries, each of a tenant of its own, beside a load of",
        f"{found['load_events_per_s']:,} events a second, on two cores that all processes share. Before that",
        f"{again['events']:,} events of {again['hours_of_state']:.1f} hours went through in compressed time.",
        "",
        "| from … to, and the goal | measured | |",
        "|---|---|---|",
        *(
            f"| {what} | {at:.2f} {unit} | {'reached' if at <= goal else 'not reached'} |"
            for what, at, goal, unit in rows
        ),
        "",
        f"A whole checkpoint, acknowledgements included, took at most {found['checkpoint_s']['p99_at_most']:.2f} s in 99 of 100;",
        "batches go on being taken meanwhile.",
        f"From the SIGKILL itself the first point took {again['from_kill_s']:.1f} s, and from the start of the next worker its",
        f"state {again['from_start_s']:.1f} s: the group must miss the dead member first, which takes {MISSED_S} s.",
        "",
        "## What more people and more measures cost",
        "",
        "µs of CPU an event of one worker. People come one after the other, which no cache helps; measures are eight of one family",
        "again and again under conditions of their own, a quarter of them sketches.",
        "",
        "| people | events | µs CPU/event | resident MiB |",
        "|---|---|---|---|",
        *(
            f"| {int(n):,} | {r['events']:,} | {r['us']:.2f} | {r['rss_mib']:.0f} |"
            for n, r in found["by_users"].items()
        ),
        "",
        "| measures | µs CPU/event | resident MiB |",
        "|---|---|---|",
        *(f"| {n} | {r['us']:.2f} | {r['rss_mib']:.0f} |" for n, r in found["by_measures"].items()),
        "",
        "An evaluation of the KPI stage, when one of its tenants has news (median of twenty), the head that is stored with it, and",
        "a start from what is stored of so many tenants, in which a new owner publishes nothing:",
        "",
        "| tenants | ms | stored head, bytes | start, ms |",
        "|---|---|---|---|",
        *(
            f"| {int(n):,} | {r['ms']:.1f} | {r['head_bytes']:,} | {r['start_ms']:,} |"
            for n, r in found["by_tenants"].items()
        ),
        "",
    ]


#: What is told of collection: goal, figure, unit, and whether a figure reaches it.
COLLECTION: tuple[tuple[str, str, str, Callable[[float], bool] | None], ...] = (
    ("durable `track`, p50 at most 10 µs of the caller's time", "track_p50_us", " µs", lambda us: us <= 10),
    (
        "one process: at least 80,000 events a second, spooled and acknowledged",
        "acknowledged_s",
        "",
        lambda n: n >= 80_000,
    ),
    (
        "collector: at least 5,000 single events a second of CPU, by 32 connections",
        "single_fleet_s",
        "",
        lambda n: n >= 5_000,
    ),
    ("the same by 8 connections", "single_s", "", None),
    ("collector: at least 60,000 events in batches of 100 a second of CPU", "batched_s", "", lambda n: n >= 60_000),
    ("a batch of 100 at half that load, p99 at most 100 ms", "batch_p99_ms", " ms", lambda ms: ms <= 100),
)


def _collection(found: dict[str, Any]) -> list[str]:
    """The section on SDK and collector; nothing before they were measured."""
    if not found:
        return []
    lines = [
        "## Collection",
        "",
        "Written by `make bench-collection`, one after the other by each Python that is named, on the same machine. The SDK's loop",
        "does nothing but `track`; Kafka, and the clients of the collector, share its two cores. Medians of five rounds.",
        "",
        f"| goal | {' | '.join(found)} |",
        f"|---|{'---|' * len(found)}",
    ]
    for goal, name, unit, reaches in COLLECTION:
        figures = [each[name] for each in found.values()]
        told = ["" if reaches is None else ", reached" if reaches(figure) else ", not reached" for figure in figures]
        lines.append(f"| {goal} | {' | '.join(f'{f:,}{unit}{t}' for f, t in zip(figures, told, strict=True))} |")
    shares = [
        (
            "SDK: CPU of all threads for an event of that loop, and how much of the bare loop's",
            "cpu_us_per_event",
            "bare_us",
        ),
        ("collector: CPU for a batched event, and how much of the bare loop's", "batched_us", "bare_json_us"),
    ]
    for what, ours, least in shares:
        told = [f"{each[ours]} of {each[least]} µs, {each[ours] / each[least]:.2f} ×" for each in found.values()]
        lines.append(f"| {what} | {' | '.join(told)} |")
    lines += [
        "",
        "The bare loop is the least that a Python producer does, measured in the same run: fastavro and Kafka's client on such",
        "events, from JSON for the collector. It checks nothing, makes no pseudonyms, writes no file, speaks no HTTP.",
    ]
    return [*lines, ""]


def newest() -> str:
    """The page of what was measured last."""
    found = {p.stem: json.loads(p.read_text()) for p in HERE.glob("*.json")}
    return page(found["results"], found.get("peers", {}), found.get("collection", {}), found.get("service", {}))


def write_page() -> None:
    """Write it."""
    PAGE.write_text(newest())


def page(results: dict[str, Any], peers: dict[str, Any], collection: dict[str, Any], service: dict[str, Any]) -> str:
    """The page's text."""
    lines = [
        "# Benchmarks",
        "",
        "Written by `make bench` from `benchmarks/results.json`. Microseconds of CPU for each event, all threads of the",
        "process; medians of interleaved rounds on a real Apache Kafka, two shared cores. Machines differ and are noisy: read",
        "the ratios, which are of one run. Records have 28 columns and about 240 bytes; 1 % come late, 0.1 % are repeats.",
        "Limits, workers, sinks and peers read a backlog: nothing is loaded beside them. What a worker does with the first 50,000",
        "records of each family, while it warms up, is left out, and of a sink the first 100,000; but in the cases of memory and",
        "of KPIs, whose stage goes on with them later.",
        "",
        "| case | µs CPU/event | × limit A | × limit B | what it is |",
        "|---|---|---|---|---|",
    ]
    for name, what in WHAT.items():
        if name in results:
            r = results[name]
            rows = f"; {r['batch_rows']:,} rows a batch" if "batch_rows" in r else ""
            lines.append(
                f"| `{name}` | {r['cpu_us_per_event']:.2f} | {r['per_limit_a']:.2f} | {r['per_limit_b']:.2f} | {what}{rows} |"
            )
    lines += ["", "## Goals", "", "| goal | measured | |", "|---|---|---|"]
    lines += [f"| {goal} | {found} | {'reached' if ok else 'not reached'} |" for goal, found, ok in goals(results)]
    sink = results["sink_fast"]
    lines += [
        "",
        f"Of the sink's cost {sink['sink_alone_us']:.2f} µs a row are its own process's, by which the goal is measured, as with",
        "the other cases; the rest is the engine's, which parses 28 columns, sorts, fills projections and views, and merges. Both",
        f"together do {sink['rows_per_core_s_with_engine']:,} rows a second on a core.",
        "",
        *_peers(peers),
        *_collection(collection),
        *_service(service),
    ]
    return "\n".join(lines)
