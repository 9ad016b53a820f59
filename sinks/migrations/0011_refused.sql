CREATE TABLE footlights.refused
(
    `topic` LowCardinality(String) COMMENT 'Topic of the record.',
    `partition` UInt16 COMMENT 'Partition.',
    `offset` UInt64 COMMENT 'Offset of the first record with this number.',
    `source` LowCardinality(String) COMMENT 'Source by the record\'s headers.',
    `producer_id` String COMMENT 'Producer by the record\'s headers.',
    `sequence` Int64 COMMENT 'Sequence by the record\'s headers.',
    `_batch_first` UInt64 COMMENT 'First offset of the batch that brought the row.',
    `_batch_last` UInt64 COMMENT 'Last offset of the batch that brought the row.',
    `_inserted_at` DateTime64(3, 'UTC') DEFAULT now64(3) COMMENT 'Clock of the store when the row came.'
)
ENGINE = ReplacingMergeTree
ORDER BY (topic, partition, producer_id, sequence, offset)
TTL toDateTime(_inserted_at) + INTERVAL {retention_days} DAY
SETTINGS non_replicated_deduplication_window = 10000
COMMENT 'Dead letters that their producers had numbered: each number once, so that a record that is sent again counts once.'
;
