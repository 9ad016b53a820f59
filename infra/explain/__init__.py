"""`footlights metrics explain`: the story of one figure."""
