"""The KPI stage without Kafka: contributions, watermarks, due windows, published points."""
