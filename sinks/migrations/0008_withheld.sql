ALTER TABLE footlights.batches ADD COLUMN IF NOT EXISTS `withheld` Map(String, UInt64) COMMENT 'Records of people who opted out, by source.' AFTER excluded
;
CREATE TABLE footlights.withheld
(
    `topic` LowCardinality(String) COMMENT 'Topic of the record.',
    `partition` UInt16 COMMENT 'Partition.',
    `offset` UInt64 COMMENT 'Offset.',
    `message_id` String COMMENT 'Id of the record.',
    `tenant_id` LowCardinality(String) COMMENT 'Tenant.',
    `source` LowCardinality(String) COMMENT 'Source.',
    `producer_id` String COMMENT 'Producer.',
    `sequence` Int64 COMMENT 'Sequence within its producer.',
    `_batch_first` UInt64 COMMENT 'First offset of the batch that brought the row.',
    `_batch_last` UInt64 COMMENT 'Last offset of the batch that brought the row.',
    `_inserted_at` DateTime64(3, 'UTC') DEFAULT now64(3) COMMENT 'Clock of the store when the row came.'
)
ENGINE = ReplacingMergeTree
ORDER BY (topic, partition, offset)
TTL toDateTime(_inserted_at) + INTERVAL {retention_days} DAY
SETTINGS non_replicated_deduplication_window = 10000
COMMENT 'Records that were not stored because their people opted out: where they stood and who sent them, nothing of what they said.'
;
