"""Whether figures can be trusted: reasons, restatements, backfill, the story of a figure."""

FAMILY = "commerce"
