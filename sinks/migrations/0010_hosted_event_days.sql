CREATE TABLE footlights.hosted_event_days
(
    `tenant_id` LowCardinality(String) COMMENT 'Tenant.',
    `hosted_event_id` String COMMENT 'Hosted event.',
    `day` Date COMMENT 'Calendar day of the reporting zone.',
    `created` SimpleAggregateFunction(max, UInt8) COMMENT '1 when it was created.',
    `cancelled` SimpleAggregateFunction(max, UInt8) COMMENT '1 when it was cancelled.',
    `sold_out` SimpleAggregateFunction(max, UInt8) COMMENT '1 when it was sold out.',
    `capacity` SimpleAggregateFunction(max, Nullable(Int64)) COMMENT 'Greatest number of places that was listed.',
    `starts_at_ms` SimpleAggregateFunction(max, Nullable(Int64)) COMMENT 'Latest begin that was listed, epoch milliseconds.',
    `ends_at_ms` SimpleAggregateFunction(max, Nullable(Int64)) COMMENT 'Latest end that was listed, epoch milliseconds.',
    `last_host` SimpleAggregateFunction(max, Tuple(Int64, String)) COMMENT 'When a host was listed last, epoch milliseconds, and the host\'s pseudonym; (0, \'\') when none was.',
    `touched_at` SimpleAggregateFunction(max, DateTime) DEFAULT now() COMMENT 'Clock of the store at the last change.'
)
ENGINE = AggregatingMergeTree
ORDER BY (tenant_id, hosted_event_id, day)
TTL toDateTime(touched_at) + INTERVAL {retention_days} DAY
SETTINGS non_replicated_deduplication_window = 10000
COMMENT 'Each hosted event\'s days: what was listed of it on a calendar day of the reporting zone. Group or use max(): parts that are not merged yet hold a day more than once.'
;

CREATE TABLE footlights.host_days
(
    `tenant_id` LowCardinality(String) COMMENT 'Tenant.',
    `day` Date COMMENT 'Calendar day of the reporting zone.',
    `host_id` String COMMENT 'Pseudonym of the host.',
    `created` SimpleAggregateFunction(max, UInt8) COMMENT '1 when the host created a hosted event.',
    `cancelled` SimpleAggregateFunction(max, UInt8) COMMENT '1 when the host cancelled one.',
    `sold_out` SimpleAggregateFunction(max, UInt8) COMMENT '1 when one of the host\'s was sold out.',
    `touched_at` SimpleAggregateFunction(max, DateTime) DEFAULT now() COMMENT 'Clock of the store at the last change.'
)
ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMM(day)
ORDER BY (tenant_id, day, host_id)
TTL toDateTime(touched_at) + INTERVAL {retention_days} DAY
SETTINGS non_replicated_deduplication_window = 10000
COMMENT 'Each host\'s days: what was listed of their hosted events on a calendar day of the reporting zone. Group or use max(): parts that are not merged yet hold a day more than once.'
;

CREATE MATERIALIZED VIEW footlights.hosted_event_days_of_listing TO footlights.hosted_event_days (tenant_id LowCardinality(String) COMMENT 'Tenant.', hosted_event_id String COMMENT 'Hosted event.', day Date COMMENT 'Calendar day of the reporting zone.', created UInt8 COMMENT '1 when it was created.', cancelled UInt8 COMMENT '1 when it was cancelled.', sold_out UInt8 COMMENT '1 when it was sold out.', capacity Nullable(Int64) COMMENT 'Greatest number of places that was listed.', starts_at_ms Nullable(Int64) COMMENT 'Latest begin that was listed, epoch milliseconds.', ends_at_ms Nullable(Int64) COMMENT 'Latest end that was listed, epoch milliseconds.', last_host Tuple(Int64, String) COMMENT 'When a host was listed last, epoch milliseconds, and the host\'s pseudonym; (0, \'\') when none was.') AS SELECT tenant_id, assumeNotNull(hosted_event_id) AS hosted_event_id, toDate(fromUnixTimestamp64Milli(occurred_at_ms, 'UTC'), '{zone}') AS day, max(toUInt8(event_name = 'hosted_event_created')) AS created, max(toUInt8(event_name = 'hosted_event_cancelled')) AS cancelled, max(toUInt8(event_name = 'hosted_event_sold_out')) AS sold_out, max(capacity) AS capacity, max(starts_at_ms) AS starts_at_ms, max(ends_at_ms) AS ends_at_ms, max(if(host_id IS NULL, (toInt64(0), ''), (occurred_at_ms, assumeNotNull(host_id)))) AS last_host FROM footlights.events_listing WHERE _excluded = '' AND events_listing.hosted_event_id IS NOT NULL GROUP BY tenant_id, hosted_event_id, day COMMENT 'Writes hosted_event_days while rows come into events_listing; read that table.'
;

CREATE MATERIALIZED VIEW footlights.host_days_of_listing TO footlights.host_days (tenant_id LowCardinality(String) COMMENT 'Tenant.', day Date COMMENT 'Calendar day of the reporting zone.', host_id String COMMENT 'Pseudonym of the host.', created UInt8 COMMENT '1 when the host created a hosted event.', cancelled UInt8 COMMENT '1 when the host cancelled one.', sold_out UInt8 COMMENT '1 when one of the host\'s was sold out.') AS SELECT tenant_id, toDate(fromUnixTimestamp64Milli(occurred_at_ms, 'UTC'), '{zone}') AS day, assumeNotNull(host_id) AS host_id, max(toUInt8(event_name = 'hosted_event_created')) AS created, max(toUInt8(event_name = 'hosted_event_cancelled')) AS cancelled, max(toUInt8(event_name = 'hosted_event_sold_out')) AS sold_out FROM footlights.events_listing WHERE _excluded = '' AND events_listing.host_id IS NOT NULL GROUP BY tenant_id, day, host_id COMMENT 'Writes host_days while rows come into events_listing; read that table.'
;

INSERT INTO footlights.hosted_event_days (tenant_id, hosted_event_id, day, created, cancelled, sold_out, capacity, starts_at_ms, ends_at_ms, last_host) SELECT tenant_id, assumeNotNull(hosted_event_id) AS hosted_event_id, toDate(fromUnixTimestamp64Milli(occurred_at_ms, 'UTC'), '{zone}') AS day, max(toUInt8(event_name = 'hosted_event_created')) AS created, max(toUInt8(event_name = 'hosted_event_cancelled')) AS cancelled, max(toUInt8(event_name = 'hosted_event_sold_out')) AS sold_out, max(capacity) AS capacity, max(starts_at_ms) AS starts_at_ms, max(ends_at_ms) AS ends_at_ms, max(if(host_id IS NULL, (toInt64(0), ''), (occurred_at_ms, assumeNotNull(host_id)))) AS last_host FROM footlights.events_listing WHERE _excluded = '' AND events_listing.hosted_event_id IS NOT NULL GROUP BY tenant_id, hosted_event_id, day
;

INSERT INTO footlights.host_days (tenant_id, day, host_id, created, cancelled, sold_out) SELECT tenant_id, toDate(fromUnixTimestamp64Milli(occurred_at_ms, 'UTC'), '{zone}') AS day, assumeNotNull(host_id) AS host_id, max(toUInt8(event_name = 'hosted_event_created')) AS created, max(toUInt8(event_name = 'hosted_event_cancelled')) AS cancelled, max(toUInt8(event_name = 'hosted_event_sold_out')) AS sold_out FROM footlights.events_listing WHERE _excluded = '' AND events_listing.host_id IS NOT NULL GROUP BY tenant_id, day, host_id
;
