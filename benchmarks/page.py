"""docs/benchmarks.md, written from results.json.

In: results.
Out: the page.
Never: a figure that is not in the results.
"""

from typing import Any

WHAT = {
    "limit_a": "confluent-kafka, fastavro one by one, numpy windows; no deduplication, no checkpoint",
    "limit_b": "confluent-kafka, our columnar decoder, numpy windows; no deduplication, no checkpoint",
    "footlights_chain": "the real worker: fetch, decode, deduplicate, all measures, checkpoint, commit; batches of 2,000",
    "footlights_chain_500": "the same at batches of 500",
    "light_8_measures": "the same with eight measures of one family, as the peers' programs compute",
    "footlights_with_kpis": "one worker with both stages: the KPI stage included",
    "faust_table": "stock Faust: an agent that decodes Avro and counts in a table",
    "memory_1m_users": "the worker while a million distinct users pass",
    "sink_fast": "sink and engine together: fetch, decode, validity, deduplication, insert, batch record",
}


def goals(results: dict[str, Any]) -> list[tuple[str, str, bool]]:
    """(goal, what was measured, reached)."""
    chain, light = results["footlights_chain"], results["light_8_measures"]
    cheaper = results["faust_table"]["cpu_us_per_event"] / chain["cpu_us_per_event"]
    rows, memory = results["sink_fast"]["rows_per_core_s_with_engine"], results["memory_1m_users"]["rss_mib"]
    return [
        ("chain at most 6 µs an event", f"{chain['cpu_us_per_event']:.2f} µs", chain["cpu_us_per_event"] <= 6),
        ("chain at most 1.0 × limit A", f"{chain['per_limit_a']:.2f} ×", chain["per_limit_a"] <= 1),
        ("at least 40 times cheaper than stock Faust", f"{cheaper:.0f} times", cheaper >= 40),
        ("eight measures at most 4.0 µs", f"{light['cpu_us_per_event']:.2f} µs", light["cpu_us_per_event"] <= 4),
        ("sink at least 300,000 rows a second per core, engine included", f"{rows:,.0f} rows/s", rows >= 300_000),
        ("worker at most 600 MiB at a million users", f"{memory:.0f} MiB", memory <= 600),
    ]


PEERS = {
    "footlights": "our worker: batches of 2,000 through Faust",
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
        "operation and minute, two of them sketches, repeats removed, state made safe each second. One process each; what the",
        "Java machines do with the first third of the records, while they compile themselves, is left out.",
        "",
        "| engine | µs CPU/event | × footlights | resident MiB | what it is |",
        "|---|---|---|---|---|",
    ]
    for name, what in PEERS.items():
        p = peers[name]
        lines.append(
            f"| {name} | {p['cpu_us_per_event']:.2f} | {p['per_footlights']:.2f} | {p['rss_mib']:.0f} | {what} |"
        )
    return [*lines, ""]


def page(results: dict[str, Any], peers: dict[str, Any]) -> str:
    """The page's text."""
    lines = [
        "# Benchmarks",
        "",
        "Written by `make bench` from `benchmarks/results.json`. Microseconds of CPU for each event, all threads of the",
        "process; medians of interleaved rounds on a real Apache Kafka, two shared cores. Machines differ and are noisy: read",
        "the ratios, which are of one run. Records have 28 columns and about 240 bytes; 1 % come late, 0.1 % are repeats.",
        "",
        "| case | µs CPU/event | × limit A | × limit B | what it is |",
        "|---|---|---|---|---|",
    ]
    for name, what in WHAT.items():
        if name in results:
            r = results[name]
            lines.append(
                f"| `{name}` | {r['cpu_us_per_event']:.2f} | {r['per_limit_a']:.2f} | {r['per_limit_b']:.2f} | {what} |"
            )
    lines += ["", "## Goals", "", "| goal | measured | |", "|---|---|---|"]
    lines += [f"| {goal} | {found} | {'reached' if ok else 'not reached'} |" for goal, found, ok in goals(results)]
    sink = results["sink_fast"]
    lines += [
        "",
        f"Of the sink's cost {sink['sink_alone_us']:.2f} µs a row are its own process's, the rest is the engine's, which",
        f"parses, sorts and merges; the process alone would do {sink['rows_per_core_s']:,} rows a second on a core.",
        "",
        *_peers(peers),
    ]
    return "\n".join(lines)
