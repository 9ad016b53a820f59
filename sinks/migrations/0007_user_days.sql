CREATE TABLE footlights.user_days
(
    `tenant_id` LowCardinality(String) COMMENT 'Tenant.',
    `day` Date COMMENT 'Calendar day of the reporting zone.',
    `person` String COMMENT 'Pseudonym of the user, else of the visitor who is not signed in.',
    `active` SimpleAggregateFunction(max, UInt8) COMMENT '1 when there was an interaction, commerce, attendance or feedback record.',
    `bought` SimpleAggregateFunction(max, UInt8) COMMENT '1 when tickets were bought.',
    `crashed` SimpleAggregateFunction(max, UInt8) COMMENT '1 when the app crashed.',
    `met_error` SimpleAggregateFunction(max, UInt8) COMMENT '1 when an operation failed for the person.',
    `first_at` SimpleAggregateFunction(min, DateTime64(3, 'UTC')) COMMENT 'First record of the day, UTC.',
    `last_at` SimpleAggregateFunction(max, DateTime64(3, 'UTC')) COMMENT 'Last record of the day, UTC.',
    `touched_at` SimpleAggregateFunction(max, DateTime) DEFAULT now() COMMENT 'Clock of the store at the last change.'
)
ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMM(day)
ORDER BY (tenant_id, day, person)
TTL toDateTime(touched_at) + INTERVAL {retention_days} DAY
SETTINGS non_replicated_deduplication_window = 10000
COMMENT 'Each person\'s days: what they did on a calendar day of the reporting zone. Bots are left out. Group or use max(): parts that are not merged yet hold a day more than once.'
;

CREATE TABLE footlights.user_first_days
(
    `tenant_id` LowCardinality(String) COMMENT 'Tenant.',
    `person` String COMMENT 'Pseudonym of the user, else of the visitor who is not signed in.',
    `first_day` SimpleAggregateFunction(min, Date) COMMENT 'First active day, of the reporting zone.',
    `touched_at` SimpleAggregateFunction(max, DateTime) DEFAULT now() COMMENT 'Clock of the store at the last change.'
)
ENGINE = AggregatingMergeTree
ORDER BY (tenant_id, person)
TTL toDateTime(touched_at) + INTERVAL {retention_days} DAY
SETTINGS non_replicated_deduplication_window = 10000
COMMENT 'The first day on which each person was active. Use min(): parts that are not merged yet hold a person more than once.'
;

CREATE MATERIALIZED VIEW footlights.user_days_of_interaction TO footlights.user_days (tenant_id LowCardinality(String) COMMENT 'Tenant.', day Date COMMENT 'Calendar day of the reporting zone.', person String COMMENT 'Pseudonym of the user, else of the visitor who is not signed in.', active UInt8 COMMENT '1 when there was an interaction, commerce, attendance or feedback record.', bought UInt8 COMMENT '1 when tickets were bought.', crashed UInt8 COMMENT '1 when the app crashed.', met_error UInt8 COMMENT '1 when an operation failed for the person.', first_at DateTime64(3, 'UTC') COMMENT 'First record of the day, UTC.', last_at DateTime64(3, 'UTC') COMMENT 'Last record of the day, UTC.') AS SELECT tenant_id, toDate(fromUnixTimestamp64Milli(occurred_at_ms, 'UTC'), '{zone}') AS day, assumeNotNull(coalesce(user_id, anonymous_id)) AS person, max(toUInt8(1)) AS active, toUInt8(0) AS bought, toUInt8(0) AS crashed, toUInt8(0) AS met_error, min(fromUnixTimestamp64Milli(occurred_at_ms, 'UTC')) AS first_at, max(fromUnixTimestamp64Milli(occurred_at_ms, 'UTC')) AS last_at FROM footlights.events_interaction WHERE _excluded = '' AND NOT automatic AND coalesce(user_id, anonymous_id) IS NOT NULL GROUP BY tenant_id, day, person COMMENT 'Writes user_days while rows come into events_interaction; read that table.'
;

CREATE MATERIALIZED VIEW footlights.user_days_of_commerce TO footlights.user_days (tenant_id LowCardinality(String) COMMENT 'Tenant.', day Date COMMENT 'Calendar day of the reporting zone.', person String COMMENT 'Pseudonym of the user, else of the visitor who is not signed in.', active UInt8 COMMENT '1 when there was an interaction, commerce, attendance or feedback record.', bought UInt8 COMMENT '1 when tickets were bought.', crashed UInt8 COMMENT '1 when the app crashed.', met_error UInt8 COMMENT '1 when an operation failed for the person.', first_at DateTime64(3, 'UTC') COMMENT 'First record of the day, UTC.', last_at DateTime64(3, 'UTC') COMMENT 'Last record of the day, UTC.') AS SELECT tenant_id, toDate(fromUnixTimestamp64Milli(occurred_at_ms, 'UTC'), '{zone}') AS day, assumeNotNull(coalesce(user_id, anonymous_id)) AS person, max(toUInt8(1)) AS active, max(toUInt8(event_name = 'ticket_purchased')) AS bought, toUInt8(0) AS crashed, toUInt8(0) AS met_error, min(fromUnixTimestamp64Milli(occurred_at_ms, 'UTC')) AS first_at, max(fromUnixTimestamp64Milli(occurred_at_ms, 'UTC')) AS last_at FROM footlights.events_commerce WHERE _excluded = '' AND NOT automatic AND coalesce(user_id, anonymous_id) IS NOT NULL GROUP BY tenant_id, day, person COMMENT 'Writes user_days while rows come into events_commerce; read that table.'
;

CREATE MATERIALIZED VIEW footlights.user_days_of_attendance TO footlights.user_days (tenant_id LowCardinality(String) COMMENT 'Tenant.', day Date COMMENT 'Calendar day of the reporting zone.', person String COMMENT 'Pseudonym of the user, else of the visitor who is not signed in.', active UInt8 COMMENT '1 when there was an interaction, commerce, attendance or feedback record.', bought UInt8 COMMENT '1 when tickets were bought.', crashed UInt8 COMMENT '1 when the app crashed.', met_error UInt8 COMMENT '1 when an operation failed for the person.', first_at DateTime64(3, 'UTC') COMMENT 'First record of the day, UTC.', last_at DateTime64(3, 'UTC') COMMENT 'Last record of the day, UTC.') AS SELECT tenant_id, toDate(fromUnixTimestamp64Milli(occurred_at_ms, 'UTC'), '{zone}') AS day, assumeNotNull(coalesce(user_id, anonymous_id)) AS person, max(toUInt8(1)) AS active, toUInt8(0) AS bought, toUInt8(0) AS crashed, toUInt8(0) AS met_error, min(fromUnixTimestamp64Milli(occurred_at_ms, 'UTC')) AS first_at, max(fromUnixTimestamp64Milli(occurred_at_ms, 'UTC')) AS last_at FROM footlights.events_attendance WHERE _excluded = '' AND NOT automatic AND coalesce(user_id, anonymous_id) IS NOT NULL GROUP BY tenant_id, day, person COMMENT 'Writes user_days while rows come into events_attendance; read that table.'
;

CREATE MATERIALIZED VIEW footlights.user_days_of_feedback TO footlights.user_days (tenant_id LowCardinality(String) COMMENT 'Tenant.', day Date COMMENT 'Calendar day of the reporting zone.', person String COMMENT 'Pseudonym of the user, else of the visitor who is not signed in.', active UInt8 COMMENT '1 when there was an interaction, commerce, attendance or feedback record.', bought UInt8 COMMENT '1 when tickets were bought.', crashed UInt8 COMMENT '1 when the app crashed.', met_error UInt8 COMMENT '1 when an operation failed for the person.', first_at DateTime64(3, 'UTC') COMMENT 'First record of the day, UTC.', last_at DateTime64(3, 'UTC') COMMENT 'Last record of the day, UTC.') AS SELECT tenant_id, toDate(fromUnixTimestamp64Milli(occurred_at_ms, 'UTC'), '{zone}') AS day, assumeNotNull(coalesce(user_id, anonymous_id)) AS person, max(toUInt8(1)) AS active, toUInt8(0) AS bought, toUInt8(0) AS crashed, toUInt8(0) AS met_error, min(fromUnixTimestamp64Milli(occurred_at_ms, 'UTC')) AS first_at, max(fromUnixTimestamp64Milli(occurred_at_ms, 'UTC')) AS last_at FROM footlights.events_feedback WHERE _excluded = '' AND NOT automatic AND coalesce(user_id, anonymous_id) IS NOT NULL GROUP BY tenant_id, day, person COMMENT 'Writes user_days while rows come into events_feedback; read that table.'
;

CREATE MATERIALIZED VIEW footlights.user_days_of_performance TO footlights.user_days (tenant_id LowCardinality(String) COMMENT 'Tenant.', day Date COMMENT 'Calendar day of the reporting zone.', person String COMMENT 'Pseudonym of the user, else of the visitor who is not signed in.', active UInt8 COMMENT '1 when there was an interaction, commerce, attendance or feedback record.', bought UInt8 COMMENT '1 when tickets were bought.', crashed UInt8 COMMENT '1 when the app crashed.', met_error UInt8 COMMENT '1 when an operation failed for the person.', first_at DateTime64(3, 'UTC') COMMENT 'First record of the day, UTC.', last_at DateTime64(3, 'UTC') COMMENT 'Last record of the day, UTC.') AS SELECT tenant_id, toDate(fromUnixTimestamp64Milli(occurred_at_ms, 'UTC'), '{zone}') AS day, assumeNotNull(coalesce(user_id, anonymous_id)) AS person, toUInt8(0) AS active, toUInt8(0) AS bought, max(toUInt8(event_name = 'crash')) AS crashed, max(toUInt8(coalesce(status, 200) >= 500 OR error IS NOT NULL)) AS met_error, min(fromUnixTimestamp64Milli(occurred_at_ms, 'UTC')) AS first_at, max(fromUnixTimestamp64Milli(occurred_at_ms, 'UTC')) AS last_at FROM footlights.events_performance WHERE _excluded = '' AND NOT automatic AND coalesce(user_id, anonymous_id) IS NOT NULL GROUP BY tenant_id, day, person COMMENT 'Writes user_days while rows come into events_performance; read that table.'
;

CREATE MATERIALIZED VIEW footlights.user_first_days_of_user_days TO footlights.user_first_days (tenant_id LowCardinality(String) COMMENT 'Tenant.', person String COMMENT 'Pseudonym of the user, else of the visitor who is not signed in.', first_day Date COMMENT 'First active day, of the reporting zone.') AS SELECT tenant_id, person, min(day) AS first_day FROM footlights.user_days WHERE active = 1 GROUP BY tenant_id, person COMMENT 'Writes user_first_days while rows come into user_days; read that table.'
;

INSERT INTO footlights.user_days (tenant_id, day, person, active, bought, crashed, met_error, first_at, last_at) SELECT tenant_id, toDate(fromUnixTimestamp64Milli(occurred_at_ms, 'UTC'), '{zone}') AS day, assumeNotNull(coalesce(user_id, anonymous_id)) AS person, max(toUInt8(1)) AS active, toUInt8(0) AS bought, toUInt8(0) AS crashed, toUInt8(0) AS met_error, min(fromUnixTimestamp64Milli(occurred_at_ms, 'UTC')) AS first_at, max(fromUnixTimestamp64Milli(occurred_at_ms, 'UTC')) AS last_at FROM footlights.events_interaction WHERE _excluded = '' AND NOT automatic AND coalesce(user_id, anonymous_id) IS NOT NULL GROUP BY tenant_id, day, person
;

INSERT INTO footlights.user_days (tenant_id, day, person, active, bought, crashed, met_error, first_at, last_at) SELECT tenant_id, toDate(fromUnixTimestamp64Milli(occurred_at_ms, 'UTC'), '{zone}') AS day, assumeNotNull(coalesce(user_id, anonymous_id)) AS person, max(toUInt8(1)) AS active, max(toUInt8(event_name = 'ticket_purchased')) AS bought, toUInt8(0) AS crashed, toUInt8(0) AS met_error, min(fromUnixTimestamp64Milli(occurred_at_ms, 'UTC')) AS first_at, max(fromUnixTimestamp64Milli(occurred_at_ms, 'UTC')) AS last_at FROM footlights.events_commerce WHERE _excluded = '' AND NOT automatic AND coalesce(user_id, anonymous_id) IS NOT NULL GROUP BY tenant_id, day, person
;

INSERT INTO footlights.user_days (tenant_id, day, person, active, bought, crashed, met_error, first_at, last_at) SELECT tenant_id, toDate(fromUnixTimestamp64Milli(occurred_at_ms, 'UTC'), '{zone}') AS day, assumeNotNull(coalesce(user_id, anonymous_id)) AS person, max(toUInt8(1)) AS active, toUInt8(0) AS bought, toUInt8(0) AS crashed, toUInt8(0) AS met_error, min(fromUnixTimestamp64Milli(occurred_at_ms, 'UTC')) AS first_at, max(fromUnixTimestamp64Milli(occurred_at_ms, 'UTC')) AS last_at FROM footlights.events_attendance WHERE _excluded = '' AND NOT automatic AND coalesce(user_id, anonymous_id) IS NOT NULL GROUP BY tenant_id, day, person
;

INSERT INTO footlights.user_days (tenant_id, day, person, active, bought, crashed, met_error, first_at, last_at) SELECT tenant_id, toDate(fromUnixTimestamp64Milli(occurred_at_ms, 'UTC'), '{zone}') AS day, assumeNotNull(coalesce(user_id, anonymous_id)) AS person, max(toUInt8(1)) AS active, toUInt8(0) AS bought, toUInt8(0) AS crashed, toUInt8(0) AS met_error, min(fromUnixTimestamp64Milli(occurred_at_ms, 'UTC')) AS first_at, max(fromUnixTimestamp64Milli(occurred_at_ms, 'UTC')) AS last_at FROM footlights.events_feedback WHERE _excluded = '' AND NOT automatic AND coalesce(user_id, anonymous_id) IS NOT NULL GROUP BY tenant_id, day, person
;

INSERT INTO footlights.user_days (tenant_id, day, person, active, bought, crashed, met_error, first_at, last_at) SELECT tenant_id, toDate(fromUnixTimestamp64Milli(occurred_at_ms, 'UTC'), '{zone}') AS day, assumeNotNull(coalesce(user_id, anonymous_id)) AS person, toUInt8(0) AS active, toUInt8(0) AS bought, max(toUInt8(event_name = 'crash')) AS crashed, max(toUInt8(coalesce(status, 200) >= 500 OR error IS NOT NULL)) AS met_error, min(fromUnixTimestamp64Milli(occurred_at_ms, 'UTC')) AS first_at, max(fromUnixTimestamp64Milli(occurred_at_ms, 'UTC')) AS last_at FROM footlights.events_performance WHERE _excluded = '' AND NOT automatic AND coalesce(user_id, anonymous_id) IS NOT NULL GROUP BY tenant_id, day, person
;
