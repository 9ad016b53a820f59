"""clickhouse-connect: reads and writes.

In: the store's address and users from the environment.
Out: a line `ok NAME` for each check.
Never: a check that is passed over.
"""

import os

import clickhouse_connect

client = clickhouse_connect.get_client(
    host=os.environ["STORE_HOST"],
    port=int(os.environ["STORE_PORT"]),
    username=os.environ["STORE_WRITER"],
    password=os.environ["STORE_WRITER_PASSWORD"],
)
assert client.ping()
print("ok ping")
