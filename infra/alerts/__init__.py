"""Alert rules as data, and the files that Prometheus and Alertmanager read."""
