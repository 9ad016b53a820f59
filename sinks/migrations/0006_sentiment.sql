ALTER TABLE footlights.events_feedback ADD COLUMN IF NOT EXISTS `sentiment_milli` Nullable(Int64) COMMENT 'How the text sounds by VADER, -1000 to 1000; null without a text. Kept when the text is not.'
;
