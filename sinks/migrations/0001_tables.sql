CREATE TABLE footlights.events_interaction
(
    `tenant_id` LowCardinality(String) COMMENT 'Tenant; first in keys, sort orders and series.',
    `message_id` String COMMENT 'Id of this record, a UUIDv7 of ours; repeats of it count once.',
    `original_id` Nullable(String) COMMENT 'Id that a foreign system gave the record, when it had one.',
    `event_name` LowCardinality(String) COMMENT 'What happened, e.g. page_view or ticket_purchased.',
    `occurred_at_ms` Int64 COMMENT 'When it happened, epoch milliseconds UTC; the time of every figure.' CODEC(Delta, ZSTD),
    `sent_at_ms` Int64 COMMENT 'When the client sent it, epoch milliseconds UTC.' CODEC(Delta, ZSTD),
    `received_at_ms` Int64 COMMENT 'When the platform took it, epoch milliseconds UTC; lateness is received minus occurred.' CODEC(Delta, ZSTD),
    `user_id` Nullable(String) COMMENT 'Pseudonym of the user, 32 hex digits of HMAC-SHA-256; never a raw id.',
    `anonymous_id` Nullable(String) COMMENT 'Pseudonym of a visitor who is not signed in.',
    `pseudonym_version` Int64 COMMENT 'Version of the key that made the pseudonyms.',
    `session_id` Nullable(String) COMMENT 'Session as the client names it.',
    `source` LowCardinality(String) COMMENT 'Service or file that published the record.',
    `producer_id` String COMMENT 'Process that published it; one for each process and fork.',
    `sequence` Int64 COMMENT 'Number of the record within its producer, from 1; gaps are losses.' CODEC(Delta, ZSTD),
    `automatic` Bool COMMENT 'True for bots and machines; kept out of people\'s figures.',
    `device` LowCardinality(Nullable(String)) COMMENT 'Device class: desktop, mobile, tablet, bot or other.',
    `browser` LowCardinality(Nullable(String)) COMMENT 'Browser family.',
    `os` LowCardinality(Nullable(String)) COMMENT 'Operating system family.',
    `city` LowCardinality(Nullable(String)) COMMENT 'City, never finer; of the hosted event in listings.',
    `country` LowCardinality(Nullable(String)) COMMENT 'ISO 3166 country code.',
    `app_version` LowCardinality(Nullable(String)) COMMENT 'Version of the client application.',
    `campaign` LowCardinality(Nullable(String)) COMMENT 'Marketing campaign.',
    `properties` String COMMENT 'Everything else, as one JSON object in text.',
    `url` Nullable(String) COMMENT 'Address without credentials.',
    `path` Nullable(String) COMMENT 'Path of the address.',
    `title` Nullable(String) COMMENT 'Title of the page.',
    `referrer` Nullable(String) COMMENT 'Address that led here.',
    `status` Nullable(Int64) COMMENT 'HTTP status, 100 to 599.',
    `_topic` LowCardinality(String) COMMENT 'Kafka topic that the row came from.',
    `_partition` UInt16 COMMENT 'Partition of the topic.',
    `_offset` UInt64 COMMENT 'Offset within the partition.' CODEC(Delta, ZSTD),
    `_batch_first` UInt64 COMMENT 'First offset of the batch that brought the row.' CODEC(Delta, ZSTD),
    `_batch_last` UInt64 COMMENT 'Last offset of the batch that brought the row.' CODEC(Delta, ZSTD),
    `_inserted_at` DateTime64(3, 'UTC') DEFAULT now64(3) COMMENT 'Clock of the store when the row came.' CODEC(Delta, ZSTD),
    `_excluded` LowCardinality(String) COMMENT 'Why the row counts in no figure: late, future, or empty when it counts.',
    `occurred_at` DateTime64(3, 'UTC') MATERIALIZED fromUnixTimestamp64Milli(occurred_at_ms, 'UTC') COMMENT 'When it happened, UTC.' CODEC(Delta, ZSTD),
    `_shard` Int64 MATERIALIZED bitShiftRight(if(abs(reinterpretAsInt64(reverse(unhex(concat('0000', substring(message_id, 1, 8), substring(message_id, 10, 4))))) - occurred_at_ms) <= 86400000, reinterpretAsInt64(reverse(unhex(concat('0000', substring(message_id, 1, 8), substring(message_id, 10, 4))))), occurred_at_ms), 22) COMMENT 'Span of 70 minutes in which the id lies; a repeat lies in the same.' CODEC(Delta, ZSTD),
    INDEX by_user user_id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_message message_id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_shard _shard TYPE minmax GRANULARITY 1,
    PROJECTION position (SELECT _topic, _partition, max((_batch_first, _batch_last)) GROUP BY _topic, _partition)
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(occurred_at)
ORDER BY (tenant_id, event_name, toStartOfHour(occurred_at), user_id, message_id)
TTL toDateTime(_inserted_at) + INTERVAL {retention_days} DAY
SETTINGS non_replicated_deduplication_window = 10000, allow_nullable_key = 1
COMMENT 'Page views, API calls, searches and other actions of people and machines.'
;

CREATE TABLE footlights.events_commerce
(
    `tenant_id` LowCardinality(String) COMMENT 'Tenant; first in keys, sort orders and series.',
    `message_id` String COMMENT 'Id of this record, a UUIDv7 of ours; repeats of it count once.',
    `original_id` Nullable(String) COMMENT 'Id that a foreign system gave the record, when it had one.',
    `event_name` LowCardinality(String) COMMENT 'What happened, e.g. page_view or ticket_purchased.',
    `occurred_at_ms` Int64 COMMENT 'When it happened, epoch milliseconds UTC; the time of every figure.' CODEC(Delta, ZSTD),
    `sent_at_ms` Int64 COMMENT 'When the client sent it, epoch milliseconds UTC.' CODEC(Delta, ZSTD),
    `received_at_ms` Int64 COMMENT 'When the platform took it, epoch milliseconds UTC; lateness is received minus occurred.' CODEC(Delta, ZSTD),
    `user_id` Nullable(String) COMMENT 'Pseudonym of the user, 32 hex digits of HMAC-SHA-256; never a raw id.',
    `anonymous_id` Nullable(String) COMMENT 'Pseudonym of a visitor who is not signed in.',
    `pseudonym_version` Int64 COMMENT 'Version of the key that made the pseudonyms.',
    `session_id` Nullable(String) COMMENT 'Session as the client names it.',
    `source` LowCardinality(String) COMMENT 'Service or file that published the record.',
    `producer_id` String COMMENT 'Process that published it; one for each process and fork.',
    `sequence` Int64 COMMENT 'Number of the record within its producer, from 1; gaps are losses.' CODEC(Delta, ZSTD),
    `automatic` Bool COMMENT 'True for bots and machines; kept out of people\'s figures.',
    `device` LowCardinality(Nullable(String)) COMMENT 'Device class: desktop, mobile, tablet, bot or other.',
    `browser` LowCardinality(Nullable(String)) COMMENT 'Browser family.',
    `os` LowCardinality(Nullable(String)) COMMENT 'Operating system family.',
    `city` LowCardinality(Nullable(String)) COMMENT 'City, never finer; of the hosted event in listings.',
    `country` LowCardinality(Nullable(String)) COMMENT 'ISO 3166 country code.',
    `app_version` LowCardinality(Nullable(String)) COMMENT 'Version of the client application.',
    `campaign` LowCardinality(Nullable(String)) COMMENT 'Marketing campaign.',
    `properties` String COMMENT 'Everything else, as one JSON object in text.',
    `order_id` Nullable(String) COMMENT 'Order.',
    `payment_id` Nullable(String) COMMENT 'Payment.',
    `hosted_event_id` Nullable(String) COMMENT 'Hosted event that the tickets are for.',
    `ticket_id` Nullable(String) COMMENT 'Ticket.',
    `amount_minor` Nullable(Int64) COMMENT 'Amount in minor units of the currency, never negative.',
    `currency` LowCardinality(Nullable(String)) COMMENT 'ISO 4217 code of the amount.',
    `quantity` Nullable(Int64) COMMENT 'Number of tickets.',
    `reason` LowCardinality(Nullable(String)) COMMENT 'Why a payment failed or money went back.',
    `_topic` LowCardinality(String) COMMENT 'Kafka topic that the row came from.',
    `_partition` UInt16 COMMENT 'Partition of the topic.',
    `_offset` UInt64 COMMENT 'Offset within the partition.' CODEC(Delta, ZSTD),
    `_batch_first` UInt64 COMMENT 'First offset of the batch that brought the row.' CODEC(Delta, ZSTD),
    `_batch_last` UInt64 COMMENT 'Last offset of the batch that brought the row.' CODEC(Delta, ZSTD),
    `_inserted_at` DateTime64(3, 'UTC') DEFAULT now64(3) COMMENT 'Clock of the store when the row came.' CODEC(Delta, ZSTD),
    `_excluded` LowCardinality(String) COMMENT 'Why the row counts in no figure: late, future, or empty when it counts.',
    `occurred_at` DateTime64(3, 'UTC') MATERIALIZED fromUnixTimestamp64Milli(occurred_at_ms, 'UTC') COMMENT 'When it happened, UTC.' CODEC(Delta, ZSTD),
    `_shard` Int64 MATERIALIZED bitShiftRight(if(abs(reinterpretAsInt64(reverse(unhex(concat('0000', substring(message_id, 1, 8), substring(message_id, 10, 4))))) - occurred_at_ms) <= 86400000, reinterpretAsInt64(reverse(unhex(concat('0000', substring(message_id, 1, 8), substring(message_id, 10, 4))))), occurred_at_ms), 22) COMMENT 'Span of 70 minutes in which the id lies; a repeat lies in the same.' CODEC(Delta, ZSTD),
    `reporting_minor` Nullable(Int64) ALIAS intDiv(amount_minor * multiIf(currency = 'USD' AND occurred_at_ms >= 946684800000, 1000000, currency = 'EUR' AND occurred_at_ms >= 1704067200000, 1080000, currency = 'EUR' AND occurred_at_ms >= 946684800000, 1100000, currency = 'GBP' AND occurred_at_ms >= 1704067200000, 1270000, currency = 'GBP' AND occurred_at_ms >= 946684800000, 1300000, currency = 'INR' AND occurred_at_ms >= 946684800000, 12000, currency = 'CHF' AND occurred_at_ms >= 946684800000, 1100000, currency = 'JPY' AND occurred_at_ms >= 946684800000, 670000, currency = 'KWD' AND occurred_at_ms >= 946684800000, 325000, NULL) + 500000, 1000000) COMMENT 'Amount in minor units of USD by the dated rates; null without an amount or a rate.',
    INDEX by_user user_id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_message message_id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_shard _shard TYPE minmax GRANULARITY 1,
    PROJECTION position (SELECT _topic, _partition, max((_batch_first, _batch_last)) GROUP BY _topic, _partition)
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(occurred_at)
ORDER BY (tenant_id, event_name, toStartOfHour(occurred_at), user_id, message_id)
TTL toDateTime(_inserted_at) + INTERVAL {retention_days} DAY
SETTINGS non_replicated_deduplication_window = 10000, allow_nullable_key = 1
COMMENT 'Checkouts, payments, purchases, refunds and chargebacks.'
;

CREATE TABLE footlights.events_listing
(
    `tenant_id` LowCardinality(String) COMMENT 'Tenant; first in keys, sort orders and series.',
    `message_id` String COMMENT 'Id of this record, a UUIDv7 of ours; repeats of it count once.',
    `original_id` Nullable(String) COMMENT 'Id that a foreign system gave the record, when it had one.',
    `event_name` LowCardinality(String) COMMENT 'What happened, e.g. page_view or ticket_purchased.',
    `occurred_at_ms` Int64 COMMENT 'When it happened, epoch milliseconds UTC; the time of every figure.' CODEC(Delta, ZSTD),
    `sent_at_ms` Int64 COMMENT 'When the client sent it, epoch milliseconds UTC.' CODEC(Delta, ZSTD),
    `received_at_ms` Int64 COMMENT 'When the platform took it, epoch milliseconds UTC; lateness is received minus occurred.' CODEC(Delta, ZSTD),
    `user_id` Nullable(String) COMMENT 'Pseudonym of the user, 32 hex digits of HMAC-SHA-256; never a raw id.',
    `anonymous_id` Nullable(String) COMMENT 'Pseudonym of a visitor who is not signed in.',
    `pseudonym_version` Int64 COMMENT 'Version of the key that made the pseudonyms.',
    `session_id` Nullable(String) COMMENT 'Session as the client names it.',
    `source` LowCardinality(String) COMMENT 'Service or file that published the record.',
    `producer_id` String COMMENT 'Process that published it; one for each process and fork.',
    `sequence` Int64 COMMENT 'Number of the record within its producer, from 1; gaps are losses.' CODEC(Delta, ZSTD),
    `automatic` Bool COMMENT 'True for bots and machines; kept out of people\'s figures.',
    `device` LowCardinality(Nullable(String)) COMMENT 'Device class: desktop, mobile, tablet, bot or other.',
    `browser` LowCardinality(Nullable(String)) COMMENT 'Browser family.',
    `os` LowCardinality(Nullable(String)) COMMENT 'Operating system family.',
    `city` LowCardinality(Nullable(String)) COMMENT 'City, never finer; of the hosted event in listings.',
    `country` LowCardinality(Nullable(String)) COMMENT 'ISO 3166 country code.',
    `app_version` LowCardinality(Nullable(String)) COMMENT 'Version of the client application.',
    `campaign` LowCardinality(Nullable(String)) COMMENT 'Marketing campaign.',
    `properties` String COMMENT 'Everything else, as one JSON object in text.',
    `hosted_event_id` Nullable(String) COMMENT 'Hosted event.',
    `host_id` Nullable(String) COMMENT 'Pseudonym of the host.',
    `capacity` Nullable(Int64) COMMENT 'Seats.',
    `price_minor` Nullable(Int64) COMMENT 'Ticket price in minor units.',
    `currency` LowCardinality(Nullable(String)) COMMENT 'ISO 4217 code of the price.',
    `category` LowCardinality(Nullable(String)) COMMENT 'Kind of hosted event.',
    `starts_at_ms` Nullable(Int64) COMMENT 'Planned start, epoch milliseconds UTC.' CODEC(Delta, ZSTD),
    `ends_at_ms` Nullable(Int64) COMMENT 'Planned end, epoch milliseconds UTC.' CODEC(Delta, ZSTD),
    `_topic` LowCardinality(String) COMMENT 'Kafka topic that the row came from.',
    `_partition` UInt16 COMMENT 'Partition of the topic.',
    `_offset` UInt64 COMMENT 'Offset within the partition.' CODEC(Delta, ZSTD),
    `_batch_first` UInt64 COMMENT 'First offset of the batch that brought the row.' CODEC(Delta, ZSTD),
    `_batch_last` UInt64 COMMENT 'Last offset of the batch that brought the row.' CODEC(Delta, ZSTD),
    `_inserted_at` DateTime64(3, 'UTC') DEFAULT now64(3) COMMENT 'Clock of the store when the row came.' CODEC(Delta, ZSTD),
    `_excluded` LowCardinality(String) COMMENT 'Why the row counts in no figure: late, future, or empty when it counts.',
    `occurred_at` DateTime64(3, 'UTC') MATERIALIZED fromUnixTimestamp64Milli(occurred_at_ms, 'UTC') COMMENT 'When it happened, UTC.' CODEC(Delta, ZSTD),
    `_shard` Int64 MATERIALIZED bitShiftRight(if(abs(reinterpretAsInt64(reverse(unhex(concat('0000', substring(message_id, 1, 8), substring(message_id, 10, 4))))) - occurred_at_ms) <= 86400000, reinterpretAsInt64(reverse(unhex(concat('0000', substring(message_id, 1, 8), substring(message_id, 10, 4))))), occurred_at_ms), 22) COMMENT 'Span of 70 minutes in which the id lies; a repeat lies in the same.' CODEC(Delta, ZSTD),
    INDEX by_user user_id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_message message_id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_shard _shard TYPE minmax GRANULARITY 1,
    PROJECTION position (SELECT _topic, _partition, max((_batch_first, _batch_last)) GROUP BY _topic, _partition)
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(occurred_at)
ORDER BY (tenant_id, event_name, toStartOfHour(occurred_at), user_id, message_id)
TTL toDateTime(_inserted_at) + INTERVAL {retention_days} DAY
SETTINGS non_replicated_deduplication_window = 10000, allow_nullable_key = 1
COMMENT 'The life of hosted events: created, published, sold out, started, ended, cancelled.'
;

CREATE TABLE footlights.events_attendance
(
    `tenant_id` LowCardinality(String) COMMENT 'Tenant; first in keys, sort orders and series.',
    `message_id` String COMMENT 'Id of this record, a UUIDv7 of ours; repeats of it count once.',
    `original_id` Nullable(String) COMMENT 'Id that a foreign system gave the record, when it had one.',
    `event_name` LowCardinality(String) COMMENT 'What happened, e.g. page_view or ticket_purchased.',
    `occurred_at_ms` Int64 COMMENT 'When it happened, epoch milliseconds UTC; the time of every figure.' CODEC(Delta, ZSTD),
    `sent_at_ms` Int64 COMMENT 'When the client sent it, epoch milliseconds UTC.' CODEC(Delta, ZSTD),
    `received_at_ms` Int64 COMMENT 'When the platform took it, epoch milliseconds UTC; lateness is received minus occurred.' CODEC(Delta, ZSTD),
    `user_id` Nullable(String) COMMENT 'Pseudonym of the user, 32 hex digits of HMAC-SHA-256; never a raw id.',
    `anonymous_id` Nullable(String) COMMENT 'Pseudonym of a visitor who is not signed in.',
    `pseudonym_version` Int64 COMMENT 'Version of the key that made the pseudonyms.',
    `session_id` Nullable(String) COMMENT 'Session as the client names it.',
    `source` LowCardinality(String) COMMENT 'Service or file that published the record.',
    `producer_id` String COMMENT 'Process that published it; one for each process and fork.',
    `sequence` Int64 COMMENT 'Number of the record within its producer, from 1; gaps are losses.' CODEC(Delta, ZSTD),
    `automatic` Bool COMMENT 'True for bots and machines; kept out of people\'s figures.',
    `device` LowCardinality(Nullable(String)) COMMENT 'Device class: desktop, mobile, tablet, bot or other.',
    `browser` LowCardinality(Nullable(String)) COMMENT 'Browser family.',
    `os` LowCardinality(Nullable(String)) COMMENT 'Operating system family.',
    `city` LowCardinality(Nullable(String)) COMMENT 'City, never finer; of the hosted event in listings.',
    `country` LowCardinality(Nullable(String)) COMMENT 'ISO 3166 country code.',
    `app_version` LowCardinality(Nullable(String)) COMMENT 'Version of the client application.',
    `campaign` LowCardinality(Nullable(String)) COMMENT 'Marketing campaign.',
    `properties` String COMMENT 'Everything else, as one JSON object in text.',
    `hosted_event_id` Nullable(String) COMMENT 'Hosted event.',
    `ticket_id` Nullable(String) COMMENT 'Ticket.',
    `gate` LowCardinality(Nullable(String)) COMMENT 'Gate of the scan.',
    `_topic` LowCardinality(String) COMMENT 'Kafka topic that the row came from.',
    `_partition` UInt16 COMMENT 'Partition of the topic.',
    `_offset` UInt64 COMMENT 'Offset within the partition.' CODEC(Delta, ZSTD),
    `_batch_first` UInt64 COMMENT 'First offset of the batch that brought the row.' CODEC(Delta, ZSTD),
    `_batch_last` UInt64 COMMENT 'Last offset of the batch that brought the row.' CODEC(Delta, ZSTD),
    `_inserted_at` DateTime64(3, 'UTC') DEFAULT now64(3) COMMENT 'Clock of the store when the row came.' CODEC(Delta, ZSTD),
    `_excluded` LowCardinality(String) COMMENT 'Why the row counts in no figure: late, future, or empty when it counts.',
    `occurred_at` DateTime64(3, 'UTC') MATERIALIZED fromUnixTimestamp64Milli(occurred_at_ms, 'UTC') COMMENT 'When it happened, UTC.' CODEC(Delta, ZSTD),
    `_shard` Int64 MATERIALIZED bitShiftRight(if(abs(reinterpretAsInt64(reverse(unhex(concat('0000', substring(message_id, 1, 8), substring(message_id, 10, 4))))) - occurred_at_ms) <= 86400000, reinterpretAsInt64(reverse(unhex(concat('0000', substring(message_id, 1, 8), substring(message_id, 10, 4))))), occurred_at_ms), 22) COMMENT 'Span of 70 minutes in which the id lies; a repeat lies in the same.' CODEC(Delta, ZSTD),
    INDEX by_user user_id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_message message_id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_shard _shard TYPE minmax GRANULARITY 1,
    PROJECTION position (SELECT _topic, _partition, max((_batch_first, _batch_last)) GROUP BY _topic, _partition)
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(occurred_at)
ORDER BY (tenant_id, event_name, toStartOfHour(occurred_at), user_id, message_id)
TTL toDateTime(_inserted_at) + INTERVAL {retention_days} DAY
SETTINGS non_replicated_deduplication_window = 10000, allow_nullable_key = 1
COMMENT 'RSVPs and scans at the door.'
;

CREATE TABLE footlights.events_feedback
(
    `tenant_id` LowCardinality(String) COMMENT 'Tenant; first in keys, sort orders and series.',
    `message_id` String COMMENT 'Id of this record, a UUIDv7 of ours; repeats of it count once.',
    `original_id` Nullable(String) COMMENT 'Id that a foreign system gave the record, when it had one.',
    `event_name` LowCardinality(String) COMMENT 'What happened, e.g. page_view or ticket_purchased.',
    `occurred_at_ms` Int64 COMMENT 'When it happened, epoch milliseconds UTC; the time of every figure.' CODEC(Delta, ZSTD),
    `sent_at_ms` Int64 COMMENT 'When the client sent it, epoch milliseconds UTC.' CODEC(Delta, ZSTD),
    `received_at_ms` Int64 COMMENT 'When the platform took it, epoch milliseconds UTC; lateness is received minus occurred.' CODEC(Delta, ZSTD),
    `user_id` Nullable(String) COMMENT 'Pseudonym of the user, 32 hex digits of HMAC-SHA-256; never a raw id.',
    `anonymous_id` Nullable(String) COMMENT 'Pseudonym of a visitor who is not signed in.',
    `pseudonym_version` Int64 COMMENT 'Version of the key that made the pseudonyms.',
    `session_id` Nullable(String) COMMENT 'Session as the client names it.',
    `source` LowCardinality(String) COMMENT 'Service or file that published the record.',
    `producer_id` String COMMENT 'Process that published it; one for each process and fork.',
    `sequence` Int64 COMMENT 'Number of the record within its producer, from 1; gaps are losses.' CODEC(Delta, ZSTD),
    `automatic` Bool COMMENT 'True for bots and machines; kept out of people\'s figures.',
    `device` LowCardinality(Nullable(String)) COMMENT 'Device class: desktop, mobile, tablet, bot or other.',
    `browser` LowCardinality(Nullable(String)) COMMENT 'Browser family.',
    `os` LowCardinality(Nullable(String)) COMMENT 'Operating system family.',
    `city` LowCardinality(Nullable(String)) COMMENT 'City, never finer; of the hosted event in listings.',
    `country` LowCardinality(Nullable(String)) COMMENT 'ISO 3166 country code.',
    `app_version` LowCardinality(Nullable(String)) COMMENT 'Version of the client application.',
    `campaign` LowCardinality(Nullable(String)) COMMENT 'Marketing campaign.',
    `properties` String COMMENT 'Everything else, as one JSON object in text.',
    `hosted_event_id` Nullable(String) COMMENT 'Hosted event.',
    `rating` Nullable(Int64) COMMENT 'Rating, 1 to 5.',
    `text` Nullable(String) COMMENT 'Comment; scored in memory, stored only when the operator says so.',
    `nps` Nullable(Int64) COMMENT 'Answer to \'would you recommend\', 0 to 10.',
    `_topic` LowCardinality(String) COMMENT 'Kafka topic that the row came from.',
    `_partition` UInt16 COMMENT 'Partition of the topic.',
    `_offset` UInt64 COMMENT 'Offset within the partition.' CODEC(Delta, ZSTD),
    `_batch_first` UInt64 COMMENT 'First offset of the batch that brought the row.' CODEC(Delta, ZSTD),
    `_batch_last` UInt64 COMMENT 'Last offset of the batch that brought the row.' CODEC(Delta, ZSTD),
    `_inserted_at` DateTime64(3, 'UTC') DEFAULT now64(3) COMMENT 'Clock of the store when the row came.' CODEC(Delta, ZSTD),
    `_excluded` LowCardinality(String) COMMENT 'Why the row counts in no figure: late, future, or empty when it counts.',
    `occurred_at` DateTime64(3, 'UTC') MATERIALIZED fromUnixTimestamp64Milli(occurred_at_ms, 'UTC') COMMENT 'When it happened, UTC.' CODEC(Delta, ZSTD),
    `_shard` Int64 MATERIALIZED bitShiftRight(if(abs(reinterpretAsInt64(reverse(unhex(concat('0000', substring(message_id, 1, 8), substring(message_id, 10, 4))))) - occurred_at_ms) <= 86400000, reinterpretAsInt64(reverse(unhex(concat('0000', substring(message_id, 1, 8), substring(message_id, 10, 4))))), occurred_at_ms), 22) COMMENT 'Span of 70 minutes in which the id lies; a repeat lies in the same.' CODEC(Delta, ZSTD),
    INDEX by_user user_id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_message message_id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_shard _shard TYPE minmax GRANULARITY 1,
    PROJECTION position (SELECT _topic, _partition, max((_batch_first, _batch_last)) GROUP BY _topic, _partition)
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(occurred_at)
ORDER BY (tenant_id, event_name, toStartOfHour(occurred_at), user_id, message_id)
TTL toDateTime(_inserted_at) + INTERVAL {retention_days} DAY
SETTINGS non_replicated_deduplication_window = 10000, allow_nullable_key = 1
COMMENT 'Ratings and comments on hosted events.'
;

CREATE TABLE footlights.events_performance
(
    `tenant_id` LowCardinality(String) COMMENT 'Tenant; first in keys, sort orders and series.',
    `message_id` String COMMENT 'Id of this record, a UUIDv7 of ours; repeats of it count once.',
    `original_id` Nullable(String) COMMENT 'Id that a foreign system gave the record, when it had one.',
    `event_name` LowCardinality(String) COMMENT 'What happened, e.g. page_view or ticket_purchased.',
    `occurred_at_ms` Int64 COMMENT 'When it happened, epoch milliseconds UTC; the time of every figure.' CODEC(Delta, ZSTD),
    `sent_at_ms` Int64 COMMENT 'When the client sent it, epoch milliseconds UTC.' CODEC(Delta, ZSTD),
    `received_at_ms` Int64 COMMENT 'When the platform took it, epoch milliseconds UTC; lateness is received minus occurred.' CODEC(Delta, ZSTD),
    `user_id` Nullable(String) COMMENT 'Pseudonym of the user, 32 hex digits of HMAC-SHA-256; never a raw id.',
    `anonymous_id` Nullable(String) COMMENT 'Pseudonym of a visitor who is not signed in.',
    `pseudonym_version` Int64 COMMENT 'Version of the key that made the pseudonyms.',
    `session_id` Nullable(String) COMMENT 'Session as the client names it.',
    `source` LowCardinality(String) COMMENT 'Service or file that published the record.',
    `producer_id` String COMMENT 'Process that published it; one for each process and fork.',
    `sequence` Int64 COMMENT 'Number of the record within its producer, from 1; gaps are losses.' CODEC(Delta, ZSTD),
    `automatic` Bool COMMENT 'True for bots and machines; kept out of people\'s figures.',
    `device` LowCardinality(Nullable(String)) COMMENT 'Device class: desktop, mobile, tablet, bot or other.',
    `browser` LowCardinality(Nullable(String)) COMMENT 'Browser family.',
    `os` LowCardinality(Nullable(String)) COMMENT 'Operating system family.',
    `city` LowCardinality(Nullable(String)) COMMENT 'City, never finer; of the hosted event in listings.',
    `country` LowCardinality(Nullable(String)) COMMENT 'ISO 3166 country code.',
    `app_version` LowCardinality(Nullable(String)) COMMENT 'Version of the client application.',
    `campaign` LowCardinality(Nullable(String)) COMMENT 'Marketing campaign.',
    `properties` String COMMENT 'Everything else, as one JSON object in text.',
    `component` LowCardinality(Nullable(String)) COMMENT 'Component, e.g. api, web or worker.',
    `operation` LowCardinality(Nullable(String)) COMMENT 'Operation, e.g. GET /checkout.',
    `response_time_ms` Nullable(Int64) COMMENT 'Duration in milliseconds.' CODEC(Delta, ZSTD),
    `status` Nullable(Int64) COMMENT 'HTTP status, 100 to 599.',
    `memory_mb` Nullable(Float64) COMMENT 'Resident memory in megabytes.',
    `error` Nullable(String) COMMENT 'Class of the error, when there was one.',
    `_topic` LowCardinality(String) COMMENT 'Kafka topic that the row came from.',
    `_partition` UInt16 COMMENT 'Partition of the topic.',
    `_offset` UInt64 COMMENT 'Offset within the partition.' CODEC(Delta, ZSTD),
    `_batch_first` UInt64 COMMENT 'First offset of the batch that brought the row.' CODEC(Delta, ZSTD),
    `_batch_last` UInt64 COMMENT 'Last offset of the batch that brought the row.' CODEC(Delta, ZSTD),
    `_inserted_at` DateTime64(3, 'UTC') DEFAULT now64(3) COMMENT 'Clock of the store when the row came.' CODEC(Delta, ZSTD),
    `_excluded` LowCardinality(String) COMMENT 'Why the row counts in no figure: late, future, or empty when it counts.',
    `occurred_at` DateTime64(3, 'UTC') MATERIALIZED fromUnixTimestamp64Milli(occurred_at_ms, 'UTC') COMMENT 'When it happened, UTC.' CODEC(Delta, ZSTD),
    `_shard` Int64 MATERIALIZED bitShiftRight(if(abs(reinterpretAsInt64(reverse(unhex(concat('0000', substring(message_id, 1, 8), substring(message_id, 10, 4))))) - occurred_at_ms) <= 86400000, reinterpretAsInt64(reverse(unhex(concat('0000', substring(message_id, 1, 8), substring(message_id, 10, 4))))), occurred_at_ms), 22) COMMENT 'Span of 70 minutes in which the id lies; a repeat lies in the same.' CODEC(Delta, ZSTD),
    INDEX by_user user_id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_message message_id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_shard _shard TYPE minmax GRANULARITY 1,
    PROJECTION position (SELECT _topic, _partition, max((_batch_first, _batch_last)) GROUP BY _topic, _partition)
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(occurred_at)
ORDER BY (tenant_id, event_name, toStartOfHour(occurred_at), user_id, message_id)
TTL toDateTime(_inserted_at) + INTERVAL {retention_days} DAY
SETTINGS non_replicated_deduplication_window = 10000, allow_nullable_key = 1
COMMENT 'Timings, statuses and crashes of components.'
;

CREATE TABLE footlights.events_account
(
    `tenant_id` LowCardinality(String) COMMENT 'Tenant; first in keys, sort orders and series.',
    `message_id` String COMMENT 'Id of this record, a UUIDv7 of ours; repeats of it count once.',
    `original_id` Nullable(String) COMMENT 'Id that a foreign system gave the record, when it had one.',
    `event_name` LowCardinality(String) COMMENT 'What happened, e.g. page_view or ticket_purchased.',
    `occurred_at_ms` Int64 COMMENT 'When it happened, epoch milliseconds UTC; the time of every figure.' CODEC(Delta, ZSTD),
    `sent_at_ms` Int64 COMMENT 'When the client sent it, epoch milliseconds UTC.' CODEC(Delta, ZSTD),
    `received_at_ms` Int64 COMMENT 'When the platform took it, epoch milliseconds UTC; lateness is received minus occurred.' CODEC(Delta, ZSTD),
    `user_id` Nullable(String) COMMENT 'Pseudonym of the user, 32 hex digits of HMAC-SHA-256; never a raw id.',
    `anonymous_id` Nullable(String) COMMENT 'Pseudonym of a visitor who is not signed in.',
    `pseudonym_version` Int64 COMMENT 'Version of the key that made the pseudonyms.',
    `session_id` Nullable(String) COMMENT 'Session as the client names it.',
    `source` LowCardinality(String) COMMENT 'Service or file that published the record.',
    `producer_id` String COMMENT 'Process that published it; one for each process and fork.',
    `sequence` Int64 COMMENT 'Number of the record within its producer, from 1; gaps are losses.' CODEC(Delta, ZSTD),
    `automatic` Bool COMMENT 'True for bots and machines; kept out of people\'s figures.',
    `device` LowCardinality(Nullable(String)) COMMENT 'Device class: desktop, mobile, tablet, bot or other.',
    `browser` LowCardinality(Nullable(String)) COMMENT 'Browser family.',
    `os` LowCardinality(Nullable(String)) COMMENT 'Operating system family.',
    `city` LowCardinality(Nullable(String)) COMMENT 'City, never finer; of the hosted event in listings.',
    `country` LowCardinality(Nullable(String)) COMMENT 'ISO 3166 country code.',
    `app_version` LowCardinality(Nullable(String)) COMMENT 'Version of the client application.',
    `campaign` LowCardinality(Nullable(String)) COMMENT 'Marketing campaign.',
    `properties` String COMMENT 'Everything else, as one JSON object in text.',
    `required_fields` Nullable(Int64) COMMENT 'Profile fields that are required.',
    `filled_fields` Nullable(Int64) COMMENT 'Required profile fields that are filled.',
    `analytics_allowed` Nullable(Bool) COMMENT 'Consent to analytics.',
    `_topic` LowCardinality(String) COMMENT 'Kafka topic that the row came from.',
    `_partition` UInt16 COMMENT 'Partition of the topic.',
    `_offset` UInt64 COMMENT 'Offset within the partition.' CODEC(Delta, ZSTD),
    `_batch_first` UInt64 COMMENT 'First offset of the batch that brought the row.' CODEC(Delta, ZSTD),
    `_batch_last` UInt64 COMMENT 'Last offset of the batch that brought the row.' CODEC(Delta, ZSTD),
    `_inserted_at` DateTime64(3, 'UTC') DEFAULT now64(3) COMMENT 'Clock of the store when the row came.' CODEC(Delta, ZSTD),
    `_excluded` LowCardinality(String) COMMENT 'Why the row counts in no figure: late, future, or empty when it counts.',
    `occurred_at` DateTime64(3, 'UTC') MATERIALIZED fromUnixTimestamp64Milli(occurred_at_ms, 'UTC') COMMENT 'When it happened, UTC.' CODEC(Delta, ZSTD),
    `_shard` Int64 MATERIALIZED bitShiftRight(if(abs(reinterpretAsInt64(reverse(unhex(concat('0000', substring(message_id, 1, 8), substring(message_id, 10, 4))))) - occurred_at_ms) <= 86400000, reinterpretAsInt64(reverse(unhex(concat('0000', substring(message_id, 1, 8), substring(message_id, 10, 4))))), occurred_at_ms), 22) COMMENT 'Span of 70 minutes in which the id lies; a repeat lies in the same.' CODEC(Delta, ZSTD),
    INDEX by_user user_id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_message message_id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_shard _shard TYPE minmax GRANULARITY 1,
    PROJECTION position (SELECT _topic, _partition, max((_batch_first, _batch_last)) GROUP BY _topic, _partition)
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(occurred_at)
ORDER BY (tenant_id, event_name, toStartOfHour(occurred_at), user_id, message_id)
TTL toDateTime(_inserted_at) + INTERVAL {retention_days} DAY
SETTINGS non_replicated_deduplication_window = 10000, allow_nullable_key = 1
COMMENT 'Registrations, verifications, profiles, logins and consent.'
;

CREATE TABLE footlights.kpi_points
(
    `tenant_id` LowCardinality(String) COMMENT 'Tenant.',
    `kpi` LowCardinality(String) COMMENT 'Name of the KPI.',
    `window` LowCardinality(String) COMMENT '1m 5m 1h 24h 1d 7d or 30d.',
    `by` String COMMENT 'Sorted key=value,… of the dimensions; empty for the whole.',
    `window_start` DateTime64(3, 'UTC') COMMENT 'Start of the window, inclusive.' CODEC(Delta, ZSTD),
    `window_end` DateTime64(3, 'UTC') COMMENT 'End of the window, exclusive.' CODEC(Delta, ZSTD),
    `value` Nullable(Float64) COMMENT 'Value; null at a zero base.',
    `revision` Int64 COMMENT '0 until the window closed; then one more with each change.',
    `final` Bool COMMENT 'The watermark has passed the window\'s end.',
    `reason` LowCardinality(Nullable(String)) COMMENT 'Why a revision was made.',
    `watermark` Nullable(DateTime64(3, 'UTC')) COMMENT 'Event time up to which the families were complete.' CODEC(Delta, ZSTD),
    `completeness` Nullable(Float64) COMMENT 'Share of the source partitions whose watermark passed the window\'s end, 0 to 1.',
    `late_ratio` Nullable(Float64) COMMENT 'Share of the window\'s rows that came late, 0 to 1.',
    `rows` Int64 COMMENT 'Rows of the KPI\'s families in the window.',
    `duplicates` Int64 COMMENT 'Repeats refused so far in the KPI\'s families.',
    `definition_version` Int64 COMMENT 'Version of the KPI\'s definition.',
    `rates_version` Int64 COMMENT 'Version of the currency rates.',
    `published_at` DateTime64(3, 'UTC') COMMENT 'Clock of the publisher.' CODEC(Delta, ZSTD),
    `generation` Int64 COMMENT 'Consumer generation of the publisher.',
    `source_offset` Int64 COMMENT 'Offset of the measures topic that the value includes.',
    `_topic` LowCardinality(String) COMMENT 'Kafka topic that the row came from.',
    `_partition` UInt16 COMMENT 'Partition of the topic.',
    `_offset` UInt64 COMMENT 'Offset within the partition.' CODEC(Delta, ZSTD),
    `_batch_first` UInt64 COMMENT 'First offset of the batch that brought the row.' CODEC(Delta, ZSTD),
    `_batch_last` UInt64 COMMENT 'Last offset of the batch that brought the row.' CODEC(Delta, ZSTD),
    `_inserted_at` DateTime64(3, 'UTC') DEFAULT now64(3) COMMENT 'Clock of the store when the row came.' CODEC(Delta, ZSTD),
    `version` UInt64 MATERIALIZED bitOr(bitShiftLeft(toUInt64(generation), 44), toUInt64(source_offset)) COMMENT 'Generation, then source offset of the publisher: of two open values the greater is newer.'
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toYYYYMM(window_start)
ORDER BY (tenant_id, kpi, window, by, window_start, revision, final)
SETTINGS non_replicated_deduplication_window = 10000
COMMENT 'Every published value of every KPI: open, final, and all revisions.'
;

CREATE TABLE footlights.dead_letters
(
    `topic` LowCardinality(String) COMMENT 'Source topic.',
    `partition` Int64 COMMENT 'Source partition.',
    `offset` Int64 COMMENT 'Source offset.',
    `schema_id` Nullable(Int64) COMMENT 'Schema id in the header, when there was one.',
    `error_code` LowCardinality(String) COMMENT 'Why it was refused.',
    `detail` String COMMENT 'More about it, without any value of the record.',
    `source` LowCardinality(String) COMMENT 'Source by the record\'s headers, else unknown.',
    `producer_id` Nullable(String) COMMENT 'Producer by the record\'s headers.',
    `sequence` Nullable(Int64) COMMENT 'Sequence by the record\'s headers.' CODEC(Delta, ZSTD),
    `stage` LowCardinality(String) COMMENT 'decode or validate.',
    `first_seen` DateTime64(3, 'UTC') COMMENT 'When it was first refused.' CODEC(Delta, ZSTD),
    `payload` String COMMENT 'Original bytes, encrypted (AES-256-GCM; nonce first).',
    `_topic` LowCardinality(String) COMMENT 'Kafka topic that the row came from.',
    `_partition` UInt16 COMMENT 'Partition of the topic.',
    `_offset` UInt64 COMMENT 'Offset within the partition.' CODEC(Delta, ZSTD),
    `_batch_first` UInt64 COMMENT 'First offset of the batch that brought the row.' CODEC(Delta, ZSTD),
    `_batch_last` UInt64 COMMENT 'Last offset of the batch that brought the row.' CODEC(Delta, ZSTD),
    `_inserted_at` DateTime64(3, 'UTC') DEFAULT now64(3) COMMENT 'Clock of the store when the row came.' CODEC(Delta, ZSTD)
)
ENGINE = ReplacingMergeTree
ORDER BY (topic, partition, offset)
TTL toDateTime(_inserted_at) + INTERVAL 30 DAY
SETTINGS non_replicated_deduplication_window = 10000
COMMENT 'Records that could not be decoded or are not valid, encrypted.'
;

CREATE TABLE footlights.producer_reports
(
    `tenant_id` LowCardinality(String) COMMENT 'Tenant.',
    `source` LowCardinality(String) COMMENT 'Source.',
    `producer_id` String COMMENT 'Process.',
    `reported_at` DateTime64(3, 'UTC') COMMENT 'Clock of the producer.' CODEC(Delta, ZSTD),
    `last_sequence` Int64 COMMENT 'Last sequence accepted; all of 1 … last_sequence were serialised.',
    `acked` Int64 COMMENT 'Records that the broker acknowledged.',
    `failed` Int64 COMMENT 'Records given up after serialisation.',
    `refused` String COMMENT 'JSON object: refused before a sequence was given, by reason.',
    `closing` Bool COMMENT 'Last report of the process.',
    `_topic` LowCardinality(String) COMMENT 'Kafka topic that the row came from.',
    `_partition` UInt16 COMMENT 'Partition of the topic.',
    `_offset` UInt64 COMMENT 'Offset within the partition.' CODEC(Delta, ZSTD),
    `_batch_first` UInt64 COMMENT 'First offset of the batch that brought the row.' CODEC(Delta, ZSTD),
    `_batch_last` UInt64 COMMENT 'Last offset of the batch that brought the row.' CODEC(Delta, ZSTD),
    `_inserted_at` DateTime64(3, 'UTC') DEFAULT now64(3) COMMENT 'Clock of the store when the row came.' CODEC(Delta, ZSTD)
)
ENGINE = ReplacingMergeTree(last_sequence)
ORDER BY (tenant_id, source, producer_id)
SETTINGS non_replicated_deduplication_window = 10000
COMMENT 'Newest report of each producer process: what it has accepted so far.'
;

CREATE TABLE footlights.duplicates
(
    `topic` LowCardinality(String) COMMENT 'Topic of the repeat.',
    `partition` UInt16 COMMENT 'Partition of the repeat and of its first.',
    `offset` UInt64 COMMENT 'Offset of the repeat.',
    `message_id` String COMMENT 'Id that both carry.',
    `first_offset` UInt64 COMMENT 'Offset of the record that counts.',
    `tenant_id` LowCardinality(String) COMMENT 'Tenant of the repeat.',
    `source` LowCardinality(String) COMMENT 'Source of the repeat.',
    `producer_id` String COMMENT 'Producer of the repeat.',
    `sequence` Int64 COMMENT 'Sequence of the repeat within its producer.',
    `redelivery` Bool COMMENT 'True when first and repeat are one record of one producer, sent twice.',
    `occurred_at` DateTime64(3, 'UTC') COMMENT 'When the repeat says that it happened, UTC.',
    `_batch_first` UInt64 COMMENT 'First offset of the batch that brought the row.',
    `_batch_last` UInt64 COMMENT 'Last offset of the batch that brought the row.',
    `_inserted_at` DateTime64(3, 'UTC') DEFAULT now64(3) COMMENT 'Clock of the store when the row came.',
    PROJECTION position (SELECT topic, partition, max((_batch_first, _batch_last)) GROUP BY topic, partition)
)
ENGINE = MergeTree
ORDER BY (topic, partition, offset)
TTL toDateTime(_inserted_at) + INTERVAL {retention_days} DAY
SETTINGS non_replicated_deduplication_window = 10000
COMMENT 'Records whose message_id already stood at a smaller offset of the same partition.'
;

CREATE TABLE footlights.batches
(
    `topic` LowCardinality(String) COMMENT 'Topic.',
    `partition` UInt16 COMMENT 'Partition.',
    `first` UInt64 COMMENT 'First offset, inclusive.',
    `last` UInt64 COMMENT 'Last offset, inclusive.',
    `rows` UInt64 COMMENT 'Records in the range.',
    `stored` Map(String, UInt64) COMMENT 'Rows stored, by source.',
    `duplicates` Map(String, UInt64) COMMENT 'Repeats of a message_id that were kept out, by source; redeliveries left out.',
    `redelivered` Map(String, UInt64) COMMENT 'Repeats that are the very same record of the same producer, by source.',
    `dead_lettered` Map(String, UInt64) COMMENT 'Records that could not be decoded or are not valid, by source.',
    `unclaimed` Map(String, UInt64) COMMENT 'Dead letters without a producer\'s number in their headers, by source; part of dead_lettered.',
    `excluded` Map(String, UInt64) COMMENT 'Rows stored that count in no figure, by source.',
    `sequences` Map(String, UInt64) COMMENT 'Greatest sequence of each producer in the range; the key is source/producer_id.',
    `epoch` String COMMENT 'Id of the Kafka topic and number of the rebuild.',
    `lease` String COMMENT 'Owner that wrote the row.',
    `written_at` DateTime64(3, 'UTC') DEFAULT now64(3) COMMENT 'Clock of the store.'
)
ENGINE = MergeTree
ORDER BY (topic, partition, first)
SETTINGS non_replicated_deduplication_window = 10000
COMMENT 'The range of every batch that was taken from Kafka, even one without a row; the ledger counts from it. Append-only.'
;

CREATE TABLE footlights.leases
(
    `topic` LowCardinality(String) COMMENT 'Topic.',
    `partition` UInt16 COMMENT 'Partition.',
    `lease` UInt64 COMMENT 'Greater than every lease before.',
    `owner` String COMMENT 'Sink process and assignment that took it.',
    `taken_at` DateTime64(3, 'UTC') DEFAULT now64(3) COMMENT 'Clock of the store.'
)
ENGINE = ReplacingMergeTree(lease)
ORDER BY (topic, partition)
SETTINGS non_replicated_deduplication_window = 10000
COMMENT 'Who may write the rows of a partition; the greatest lease counts, and an insert under an older one fails.'
;

CREATE TABLE footlights.metric_definitions
(
    `kpi` String COMMENT 'Name.',
    `version` UInt32 COMMENT 'Version of the definition.',
    `formula` String COMMENT 'Formula over the measures.',
    `unit` LowCardinality(String) COMMENT 'Unit of the value.',
    `kind` LowCardinality(String) COMMENT 'KPI, KRI or KR.',
    `help` String COMMENT 'What it says.',
    `windows` Array(String) COMMENT 'Windows in which it is published.',
    `by` Array(String) COMMENT 'Combinations of dimensions, each as a sorted list with commas.',
    `good` LowCardinality(String) COMMENT 'Direction that is welcome: up, down or flat.',
    `owner` LowCardinality(String) COMMENT 'Team that answers for it.',
    `families` Array(String) COMMENT 'Event families that it is computed from.',
    `updated_at` DateTime64(3, 'UTC') DEFAULT now64(3) COMMENT 'When this definition was written.'
)
ENGINE = ReplacingMergeTree(updated_at)
ORDER BY kpi
SETTINGS non_replicated_deduplication_window = 10000
COMMENT 'What each KPI means, as declared; filled by every migration.'
;
