"""ibis: writes a table and reads it by expressions."""

import ibis
import pandas as pd
from clickhouse_connect.driver.exceptions import DatabaseError
from store import HOST, PORT, READER, WRITER


def main() -> None:
    writer = ibis.clickhouse.connect(host=HOST, port=PORT, user=WRITER["username"], password=WRITER["password"])
    frame = pd.DataFrame({"kind": ["a", "b", "a"], "amount": [1.5, 2.0, 3.0]})
    writer.create_table("clients_ibis", schema=ibis.schema({"kind": "string", "amount": "float64"}), overwrite=True)
    writer.insert("clients_ibis", frame)
    print("ok writes")
    reader = ibis.clickhouse.connect(host=HOST, port=PORT, user=READER["username"], password=READER["password"])
    table = reader.table("clients_ibis")
    sums = table.group_by("kind").aggregate(total=table.amount.sum()).order_by("kind").to_pandas()
    assert sums.to_dict("list") == {"kind": ["a", "b"], "total": [4.5, 2.0]}, sums
    assert "clients_ibis" in reader.list_tables()
    print("ok reads")
    try:
        reader.raw_sql("DROP TABLE clients_ibis")
    except DatabaseError as error:
        assert error.code == 497, error
    else:
        raise AssertionError("the reader writes")
    print("ok reader")


if __name__ == "__main__":
    main()
