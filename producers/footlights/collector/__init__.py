"""The HTTP collector: events of browsers, apps and other vendors' clients, durable before they are answered.

In: requests. Out: records on `events.<family>`.
Never: an answer 202 before the event is on the disk or with Kafka.
"""
