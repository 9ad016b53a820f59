CREATE TABLE footlights.session_versions
(
    `tenant_id` LowCardinality(String) COMMENT 'Tenant.',
    `person` String COMMENT 'Pseudonym of the user, else of the visitor; empty in the note of a round that is complete.',
    `started_at` DateTime64(3, 'UTC') COMMENT 'First record.' CODEC(Delta, ZSTD),
    `ended_at` DateTime64(3, 'UTC') COMMENT 'Last record.' CODEC(Delta, ZSTD),
    `run_started_at` DateTime64(3, 'UTC') COMMENT 'First record of the unbroken run that it is a part of; a run of more than 24 hours is cut into sessions.' CODEC(Delta, ZSTD),
    `records` Int64 COMMENT 'Records; 0 when there is no such session any more.',
    `page_views` Int64 COMMENT 'Pages seen.',
    `purchases` Int64 COMMENT 'Purchases.',
    `crashes` Int64 COMMENT 'Crashes of the app.',
    `generation` Int64 COMMENT 'Consumer generation of the worker that worked it out.',
    `published_at` DateTime64(3, 'UTC') COMMENT 'Clock of that worker.' CODEC(Delta, ZSTD),
    `_topic` LowCardinality(String) COMMENT 'Kafka topic that the row came from.',
    `_partition` UInt16 COMMENT 'Partition of the topic.',
    `_offset` UInt64 COMMENT 'Offset within the partition.' CODEC(Delta, ZSTD),
    `_batch_first` UInt64 COMMENT 'First offset of the batch that brought the row.' CODEC(Delta, ZSTD),
    `_batch_last` UInt64 COMMENT 'Last offset of the batch that brought the row.' CODEC(Delta, ZSTD),
    `_inserted_at` DateTime64(3, 'UTC') DEFAULT now64(3) COMMENT 'Clock of the store when the row came.' CODEC(Delta, ZSTD),
    `version` UInt64 MATERIALIZED bitOr(bitShiftLeft(toUInt64(generation), 44), toUInt64(toUnixTimestamp64Milli(published_at))) COMMENT 'Generation, then clock of the worker: of two states the greater is newer.'
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toYYYYMM(started_at)
ORDER BY (tenant_id, person, started_at)
TTL toDateTime(_inserted_at) + INTERVAL {retention_days} DAY
SETTINGS non_replicated_deduplication_window = 10000
COMMENT 'Every published state of every session, rounds\' notes among them; read the view sessions.'
;
