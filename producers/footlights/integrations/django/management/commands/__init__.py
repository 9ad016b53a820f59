"""`analytics_status`, `analytics_test_event`, `analytics_relay`."""
