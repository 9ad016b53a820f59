"""Events out again: to PostHog, or to a webhook of your own; at least once, each in a process and a consumer group of its own."""
