"""The alerts of the pipeline's own health.

In: the names of the metrics that workers, sinks, collectors and the monitor export.
Out: RULES, RECORDINGS.
Never: an alert that nobody can act on: each has a runbook.
"""

from infra.alerts.rule import CAUSE, NONE, PAGE, SYMPTOM, TICKET, Proof, Recording, Rule, Series, grown, minutes

#: Service level: at most this share of records is refused into dead letters, over 30 days.
BUDGET = 0.001
#: (long window, short window, burn rate, severity): Google's SRE workbook, chapter 5.
BURNS = (("1h", "5m", 14.4, PAGE), ("6h", "30m", 6.0, PAGE), ("3d", "6h", 1.0, TICKET))


def _ratio(window: str) -> str:
    return f"footlights:dead_letters:ratio_rate{window}"


RECORDINGS = tuple(
    Recording(
        _ratio(w),
        f"(sum({grown('footlights_stream_dead_letters_total', w)}) or vector(0)) "
        f"/ (sum({grown('footlights_stream_rows_total', w)}) > 0)",
    )
    for w in dict.fromkeys(w for long, short, _, _ in BURNS for w in (short, long))
)


def _rows(refused_a_minute: float) -> tuple[Series, ...]:
    return (
        Series('footlights_stream_rows_total{family="commerce",instance="w1",job="footlights"}', 10_000, 10_000, counter=True),
        Series(
            'footlights_stream_dead_letters_total{family="commerce",stage="decode",instance="w1",job="footlights"}',
            0, refused_a_minute, counter=True,
        ),
    )  # fmt: skip


def _burn(long: str, short: str, rate: float, severity: str) -> Rule:
    speed = {14.4: "Fast", 6.0: "", 1.0: "Slow"}[rate]
    return Rule(
        f"DeadLetterBudgetBurns{speed}", "footlights-slo",
        f"{_ratio(long)} > {rate * BUDGET:g} and {_ratio(short)} > {rate * BUDGET:g}",
        "2m", severity, SYMPTOM,
        f"{{{{ $value | humanizePercentage }}}} of records were refused over {long}, {rate:g} times the budget's pace",
        "Records that cannot be decoded or are not valid eat the month's budget. They are kept, encrypted, and can be replayed.",
        Proof(
            _rows(10_000 * BUDGET * rate * 3), bad_minutes=minutes(long) + 5, settle_minutes=minutes(short) + 10,
            first=10_000 * BUDGET * rate * minutes(long) * 2,
        ),
    )  # fmt: skip


def _gauge(
    name: str, group: str, metric: str, condition: str, for_: str, severity: str, role: str, summary: str, description: str,
    *, good: float, bad: float, labels: str = "", where: str = "",
) -> Rule:  # fmt: skip
    """A rule over the last value of a gauge."""
    held = dict(pair.split("=") for pair in labels.split(",") if pair)
    text = ",".join(f'{k}="{v}"' for k, v in held.items())
    return Rule(
        name, group, f"{metric}{where} {condition}", for_, severity, role, summary, description,
        Proof((Series(f"{metric}{{{text}}}", good, bad),), minutes(for_) + 2, held),
    )  # fmt: skip


def _growth(
    name: str, group: str, metric: str, window: str, severity: str, role: str, summary: str, description: str, *, labels: str,
    most: float = 0, bad: float = 1, also: str = "",
) -> Rule:  # fmt: skip
    """A rule over the growth of a counter; `also` are labels that its proof's series has by the selector."""
    held = dict(pair.split("=") for pair in f"{labels},{also}".split(",") if pair)
    text = ",".join(f'{k}="{v}"' for k, v in held.items())
    series = f"{metric.partition('{')[0]}{{{text}}}"
    return Rule(
        name, group, f"{grown(metric, window)} > {most:g}", "0m", severity, role, summary, description,
        Proof(
            (Series(series, 0, bad, counter=True),), minutes(window), held, settle_minutes=minutes(window) + 5,
            first=most + bad,
        ),
    )  # fmt: skip


_VALUE = "{{ $value | humanize }}"
_ANSWERS, _EVENTS = "footlights_collector_request_duration_seconds_count", "footlights_collector_events_total"
_FAILED, _CRASHED, _DROPPED = '{status=~"5.."}', '{status="500"}', '{result="drop",code!="OPTED_OUT"}'
_REFUSED = "footlights_collector_refused_requests_total"
#: What a process of each kind exports from its start on.
KINDS = {
    "worker": "footlights_stream_rebalances_total",
    "kpis": "footlights_kpi_held_changes_total",
    "sink": "footlights_sink_failures_total",
    "monitor": "footlights_monitor_looks_total",
}
_CANARY = "footlights_canary_timestamp_seconds"
_COLLISIONS = grown("footlights_sink_collisions_total", "1h")
RULES: tuple[Rule, ...] = (
    Rule(
        "Watchdog", "footlights-meta", "vector(1)", "0m", NONE, CAUSE, "Alerting works",
        "Always fires. Whoever receives it raises the alarm when it stops: then Prometheus or Alertmanager is down.", None,
    ),
    _gauge(
        "TargetDown", "footlights-meta", "up", "== 0", "2m", PAGE, CAUSE,
        "{{ $labels.instance }} of {{ $labels.job }} answers no scrape", "A worker, sink or monitor is gone or stuck.",
        good=1, bad=0, labels="job=footlights,instance=w1", where='{job="footlights"}',
    ),
    Rule(
        "ProcessMissing", "footlights-meta",
        " or ".join(f'label_replace(absent({name}), "process", "{kind}", "", "")' for kind, name in KINDS.items()),
        "5m", PAGE, CAUSE,
        "Prometheus knows no {{ $labels.process }}",
        "None runs, or none is scraped; every other alert about it is silent then.",
        Proof(
            tuple(
                Series(f'{name}{{job="footlights",instance="{kind}"}}', 0, None if kind == "sink" else 0)
                for kind, name in KINDS.items()
            ),
            12, {"process": "sink"}, without_data=len(KINDS),
        ),
    ),
    Rule(
        "MonitorStuck", "footlights-meta", "increase(footlights_monitor_looks_total[10m]) == 0", "2m", PAGE, CAUSE,
        "The monitor has finished no look for 10 minutes", "Its gauges show what was, and alerts on them are worth nothing.",
        Proof(
            (Series('footlights_monitor_looks_total{job="footlights",instance="m1"}', 6, 0, counter=True, start=6),), 14,
            {"job": "footlights", "instance": "m1"},
        ),
    ),
    Rule(
        "ProcessRestarts", "footlights-meta", 'changes(process_start_time_seconds{job="footlights"}[15m]) > 3', "0m", PAGE, CAUSE,
        f"{{{{ $labels.instance }}}} started {_VALUE} times in 15 minutes", "Something makes the process end again and again.",
        Proof(
            (Series('process_start_time_seconds{job="footlights",instance="w1"}', 0, 60, counter=True),), 6,
            {"job": "footlights", "instance": "w1"}, settle_minutes=20,
        ),
    ),
    _growth(
        "Rebalances", "footlights-meta", "footlights_stream_rebalances_total", "10m", TICKET, CAUSE,
        f"{_VALUE} rebalances in 10 minutes at {{{{ $labels.instance }}}}", "Workers keep losing and taking partitions.",
        labels="instance=w1", most=3,
    ),
    _gauge(
        "KafkaDown", "footlights-meta", "footlights_monitor_up", "== 0", "1m", PAGE, CAUSE,
        "Kafka does not answer the monitor", "Producers spool or refuse, nothing is counted.", good=1, bad=0, labels="part=kafka",
        where='{part="kafka"}',
    ),
    # No event lost, none counted twice
    _gauge(
        "LedgerGap", "footlights-ledger", "footlights_ledger_gap_records", "!= 0", "2m", PAGE, SYMPTOM,
        f"{_VALUE} records of {{{{ $labels.source }}}} are unaccounted for",
        "Published, and neither stored, refused, dropped, a repeat, nor on their way.", good=0, bad=3, labels="source=shop",
    ),
    _gauge(
        "UnconfirmedRecords", "footlights-ledger", "footlights_ledger_unconfirmed_records", "> 0", "30m", TICKET, SYMPTOM,
        f"{_VALUE} records of {{{{ $labels.source }}}} came from producers that never reported",
        "A producer ended before its last report; what else it had accepted is unknown.", good=0, bad=3, labels="source=shop",
    ),
    _gauge(
        "DuplicateRows", "footlights-ledger", "footlights_store_duplicate_rows", "> 0", "0m", PAGE, SYMPTOM,
        f"{_VALUE} rows of the last hour are stored twice", "The promise that nothing counts twice is broken.", good=0, bad=2,
    ),
    Rule(
        "Collisions", "footlights-ledger",
        f"sum({_COLLISIONS}) > 0 or max(footlights_store_collisions) > 0", "0m", PAGE, SYMPTOM,
        f"{_VALUE} events were lost in an hour, since other events had their ids",
        "Two processes draw the same ids, or a client gives one id to two events.",
        Proof(
            (
                Series('footlights_sink_collisions_total{topic="events.commerce",instance="s1"}', 0, 1, counter=True),
                Series("footlights_store_collisions", 0, 3),
            ),
            62, settle_minutes=70, first=1,
        ),
    ),
    _growth(
        "ProducersDrop", "footlights-ledger", "footlights_ledger_dropped_records", "10m", TICKET, SYMPTOM,
        f"Producers of {{{{ $labels.source }}}} gave up {_VALUE} records in 10 minutes",
        "Their queue was full for too long, or Kafka refused the records.", labels="source=shop",
    ),
    _growth(
        "RecordsTruncated", "footlights-ledger", "footlights_stream_truncated_total", "10m", PAGE, CAUSE,
        f"{_VALUE} records of {{{{ $labels.family }}}} left Kafka before the stream read them",
        "Retention is shorter than the stream's lag.", labels="family=commerce,partition=0",
    ),
    _growth(
        "ColdRows", "footlights-ledger", "footlights_stream_cold_rows_total", "1h", TICKET, SYMPTOM,
        f"{_VALUE} rows of {{{{ $labels.family }}}} came for buckets given up", "Their figures need a backfill.",
        labels="family=commerce,level=minute",
    ),
    _growth(
        "ForeignPartials", "footlights-ledger", "footlights_kpi_foreign_partials_total", "1h", TICKET, CAUSE,
        f"{_VALUE} records of the topic measures were written by none of our workers",
        "The KPI stage left them out. Whoever writes there can also write what looks like ours.", labels="job=footlights,instance=w1",
    ),
    _growth(
        "HeldChanges", "footlights-ledger", "footlights_kpi_held_changes_total", "1h", TICKET, SYMPTOM,
        f"{_VALUE} changes of backfilled windows wait for another backfill", "Their figures lag behind the events.",
        labels="job=footlights,instance=w1",
    ),
    _growth(
        "CohortsWait", "footlights-freshness", "footlights_round_failures_total", "15m", TICKET, SYMPTOM,
        f"{_VALUE} rounds of work over the store failed in 15 minutes", "Retention, churn, sessions and the like stand still.",
        labels="job=footlights,instance=w1", most=5,
    ),
    # Dead letters
    *(_burn(*burn) for burn in BURNS),
    Rule(
        "DeadLettersMany", "footlights-slo", f"{_ratio('5m')} > 0.01", "5m", PAGE, SYMPTOM,
        "{{ $value | humanizePercentage }} of records are refused", "The breaker stops a worker at 1 % of the last 10,000.",
        Proof(_rows(300), bad_minutes=12),
    ),
    # Freshness
    _gauge(
        "ConsumerLag", "footlights-freshness", "footlights_consumer_lag_seconds", "> 60", "5m", TICKET, SYMPTOM,
        "{{ $labels.app }} is {{ $value | humanizeDuration }} behind", "Figures are old.", good=1, bad=90, labels="app=stream",
    ),
    _gauge(
        "ConsumerLagHigh", "footlights-freshness", "footlights_consumer_lag_seconds", "> 300", "5m", PAGE, SYMPTOM,
        "{{ $labels.app }} is {{ $value | humanizeDuration }} behind", "Figures are useless for decisions of the moment.",
        good=1, bad=400, labels="app=sink",
    ),
    Rule(
        "ConsumerStuck", "footlights-freshness",
        "footlights_consumer_lag_seconds > 60 and deriv(footlights_consumer_lag_seconds[3m]) > 0.9", "2m", PAGE, SYMPTOM,
        "{{ $labels.app }} has taken nothing for {{ $value | humanizeDuration }}",
        "It is assigned work and makes no progress.",
        Proof(
            (Series('footlights_consumer_lag_seconds{app="stream"}', 0, 60, counter=True, catches_up=True),), 9, {"app": "stream"},
        ),
    ),
    _gauge(
        "CanarySlow", "footlights-freshness", "footlights_end_to_end_seconds", "> 30", "5m", PAGE, SYMPTOM,
        "A canary took {{ $value | humanizeDuration }} to be {{ $labels.stop }}", "The whole path is slow.",
        good=2, bad=45, labels="stop=stored",
    ),
    Rule(
        "CanaryMissing", "footlights-freshness",
        f"(time() - max(last_over_time({_CANARY}[1d])) > 180 or absent_over_time({_CANARY}[1d]) * 86400) "
        "unless on () max(footlights_canary_interval_seconds) == 0",
        "2m", PAGE, SYMPTOM,
        "No canary came through for {{ $value | humanizeDuration }}", "The whole path is blocked somewhere.",
        Proof(
            (Series('footlights_canary_timestamp_seconds{tenant="canary"}', 60, 0, counter=True, catches_up=True),),
            8, without_data=1,
        ),
    ),
    Rule(
        "CheckpointsSlow", "footlights-freshness",
        "histogram_quantile(0.99, sum by (le) (rate(footlights_stream_checkpoint_seconds_bucket[10m]))) > 1",
        "10m", TICKET, SYMPTOM,
        "Checkpoints take {{ $value | humanizeDuration }} (p99)", "Kafka acknowledges slowly, or the state is large.",
        Proof(
            (
                Series('footlights_stream_checkpoint_seconds_bucket{le="1.0"}', 60, 0, counter=True),
                Series('footlights_stream_checkpoint_seconds_bucket{le="2.0"}', 60, 60, counter=True),
                Series('footlights_stream_checkpoint_seconds_bucket{le="+Inf"}', 60, 60, counter=True),
            ),
            22, settle_minutes=25,
        ),
    ),
    # The collector
    Rule(
        "CollectorUnavailable", "footlights-collector",
        f"sum by (instance) ({grown(_ANSWERS + _FAILED, '5m')}) / sum by (instance) ({grown(_ANSWERS, '5m')}) > 0.01", "5m", PAGE,
        SYMPTOM, "{{ $value | humanizePercentage }} of requests to {{ $labels.instance }} are sent away",
        "Browsers and services keep their events and come again; those that cannot keep them lose them.",
        Proof(
            (
                Series(f'{_ANSWERS}{{route="/v1/batch",status="202",instance="c1"}}', 600, 600, counter=True),
                Series(f'{_ANSWERS}{{route="/v1/batch",status="503",instance="c1"}}', 0, 60, counter=True),
            ),
            12, {"instance": "c1"},
        ),
    ),
    _gauge(
        "CollectorLogGrows", "footlights-collector", "footlights_collector_spool_bytes", "> 1e9", "5m", TICKET, SYMPTOM,
        "{{ $value | humanize1024 }}B wait on the disk of {{ $labels.instance }}",
        "Kafka does not take what the collector has answered for.", good=1e6, bad=2e9, labels="instance=c1",
    ),
    _growth(
        "CollectorCrashes", "footlights-collector", _ANSWERS + _CRASHED, "10m", TICKET, SYMPTOM,
        f"{{{{ $labels.instance }}}} answered {_VALUE} requests of {{{{ $labels.route }}}} with 500 in 10 minutes",
        "Its own fault, and no request's: a client that sends the same again is blocked for as long.",
        labels="route=/v1/batch,instance=c1", also="status=500",
    ),
    Rule(
        "CollectorRefuses", "footlights-collector",
        f"sum by (route) ({grown(_REFUSED, '10m')}) / sum by (route) ({grown(_ANSWERS, '10m')}) > 0.05", "10m", TICKET,
        SYMPTOM, "{{ $value | humanizePercentage }} of requests to {{ $labels.route }} are refused as a whole",
        "No client sends such a request again: their events are gone, and the ledger knows nothing of them.",
        Proof(
            (
                Series(f'{_ANSWERS}{{route="/v1/batch",status="202",instance="c1"}}', 600, 600, counter=True),
                Series(f'{_REFUSED}{{route="/v1/batch",status="400",instance="c1"}}', 0, 100, counter=True),
            ),
            22, {"route": "/v1/batch"}, settle_minutes=25,
        ),
    ),
    Rule(
        "CollectorDrops", "footlights-collector",
        f"sum by (code) ({grown(_EVENTS + _DROPPED, '10m')}) / ignoring (code) group_left sum({grown(_EVENTS, '10m')}) > 0.05",
        "10m", TICKET, SYMPTOM, "{{ $value | humanizePercentage }} of events are refused as {{ $labels.code }}",
        "A client sends what cannot be taken; it is told so, and the events are gone.",
        Proof(
            (
                Series(f'{_EVENTS}{{result="ok",code="",instance="c1"}}', 600, 600, counter=True),
                Series(f'{_EVENTS}{{result="drop",code="SCHEMA_VIOLATION",instance="c1"}}', 0, 100, counter=True),
            ),
            22, {"code": "SCHEMA_VIOLATION"}, settle_minutes=25,
        ),
    ),
    # ClickHouse
    _gauge(
        "ClickHouseDown", "footlights-store", "footlights_monitor_up", "== 0", "1m", PAGE, CAUSE,
        "ClickHouse does not answer the monitor", "Events wait in Kafka; nothing is lost until its retention ends.",
        good=1, bad=0, labels="part=clickhouse", where='{part="clickhouse"}',
    ),
    _gauge(
        "ClickHouseParts", "footlights-store", "footlights_clickhouse_parts", "> 300", "10m", TICKET, CAUSE,
        f"{_VALUE} parts in a partition of {{{{ $labels.table }}}}", "Inserts are too small or merges too slow.",
        good=20, bad=400, labels="table=events_commerce",
    ),
    _gauge(
        "ClickHouseDiskLow", "footlights-store", "footlights_clickhouse_disk_free_ratio", "< 0.1", "5m", PAGE, CAUSE,
        "{{ $value | humanizePercentage }} of the store's disk is free", "Inserts fail when it is full.", good=0.5, bad=0.05,
    ),
    Rule(
        "ClickHouseDiskFills", "footlights-store", "predict_linear(footlights_clickhouse_disk_free_ratio[6h], 86400) < 0", "30m",
        TICKET, CAUSE, "The store's disk is full in a day at this rate", "Retention or disk must change before.",
        Proof(
            (Series("footlights_clickhouse_disk_free_ratio", -0.00001, -0.002, counter=True, start=0.9),), 120, settle_minutes=480,
        ),
    ),
    _growth(
        "SinkFailures", "footlights-store", "footlights_sink_failures_total", "10m", TICKET, CAUSE,
        f"{_VALUE} calls of {{{{ $labels.instance }}}} to the store failed in 10 minutes",
        "They are tried again until they succeed.",
        labels="instance=s1", most=10, bad=5,
    ),
)  # fmt: skip
