"""A seeded ticketing platform with incidents of known truth, published through the SDK."""
