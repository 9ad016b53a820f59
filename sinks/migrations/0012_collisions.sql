ALTER TABLE footlights.duplicates ADD COLUMN IF NOT EXISTS `differs` Array(LowCardinality(String)) COMMENT 'Fields that say something else than the first: two events met under one id, and this one is lost. Empty of a repeat.' AFTER redelivery
;
ALTER TABLE footlights.duplicates COMMENT COLUMN redelivery 'True when the repeat has the producer and the sequence of a record that came before.'
;
ALTER TABLE footlights.batches ADD COLUMN IF NOT EXISTS `collisions` Map(String, UInt64) COMMENT 'Of duplicates and redelivered: other events under an id that was taken, by source.' AFTER redelivered
;
