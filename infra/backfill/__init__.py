"""`footlights backfill`: a KPI's history from the raw events, published as revisions."""
