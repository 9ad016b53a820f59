ALTER TABLE footlights.kpi_points ADD COLUMN IF NOT EXISTS `cause` Nullable(String) COMMENT 'JSON: what made a revision; rows by family, partition and source offsets, or the request that restated it.' AFTER source_offset
;
ALTER TABLE footlights.kpi_points COMMENT COLUMN `reason` 'Why a revision was made: late, refund, definition, backfill, duplicate, erasure or identity_merge.'
;
ALTER TABLE footlights.kpi_points COMMENT COLUMN `completeness` 'Share of the window that the watermarks of the source partitions have covered, their mean, 0 to 1; a final value has 1, less only when a partition began late.'
;
ALTER TABLE footlights.events_interaction ADD PROJECTION IF NOT EXISTS counted (SELECT _topic, _partition, _batch_first, source, count() GROUP BY _topic, _partition, _batch_first, source)
;
ALTER TABLE footlights.events_commerce ADD PROJECTION IF NOT EXISTS counted (SELECT _topic, _partition, _batch_first, source, count() GROUP BY _topic, _partition, _batch_first, source)
;
ALTER TABLE footlights.events_listing ADD PROJECTION IF NOT EXISTS counted (SELECT _topic, _partition, _batch_first, source, count() GROUP BY _topic, _partition, _batch_first, source)
;
ALTER TABLE footlights.events_attendance ADD PROJECTION IF NOT EXISTS counted (SELECT _topic, _partition, _batch_first, source, count() GROUP BY _topic, _partition, _batch_first, source)
;
ALTER TABLE footlights.events_feedback ADD PROJECTION IF NOT EXISTS counted (SELECT _topic, _partition, _batch_first, source, count() GROUP BY _topic, _partition, _batch_first, source)
;
ALTER TABLE footlights.events_performance ADD PROJECTION IF NOT EXISTS counted (SELECT _topic, _partition, _batch_first, source, count() GROUP BY _topic, _partition, _batch_first, source)
;
ALTER TABLE footlights.events_account ADD PROJECTION IF NOT EXISTS counted (SELECT _topic, _partition, _batch_first, source, count() GROUP BY _topic, _partition, _batch_first, source)
;
