"""SQLAlchemy, by the dialect of clickhouse-connect: reads and writes."""

from clickhouse_connect.cc_sqlalchemy.datatypes.sqltypes import DateTime64, String, UInt64
from clickhouse_connect.cc_sqlalchemy.ddl.tableengine import MergeTree
from sqlalchemy import Column, MetaData, Table, create_engine, func, insert, inspect, select, text
from sqlalchemy.exc import DBAPIError
from store import READER, WRITER, url


def main() -> None:
    engine = create_engine(url("clickhousedb", WRITER))
    table = Table(
        "clients_alchemy",
        MetaData(),
        Column("n", UInt64, primary_key=True),
        Column("s", String),
        Column("at", DateTime64(3, "UTC")),
        MergeTree(order_by="n"),
    )
    table.drop(engine, checkfirst=True)
    table.create(engine)
    assert inspect(engine).get_columns("clients_alchemy")[1]["name"] == "s"
    print("ok schema")
    with engine.begin() as connection:
        connection.execute(
            insert(table), [{"n": n, "s": f"row {n}", "at": "2024-02-29 00:00:00.000"} for n in range(9)]
        )
        found = connection.execute(select(table.c.s, func.toYear(table.c.at)).where(table.c.n == 3)).all()
    assert found == [("row 3", 2024)], found
    print("ok rows")
    reader = create_engine(url("clickhousedb", READER))
    with reader.connect() as connection:
        assert connection.execute(select(func.count()).select_from(table)).scalar() == 9
        try:
            connection.execute(text("TRUNCATE TABLE clients_alchemy"))
        except DBAPIError as error:
            assert "497" in str(error), error
        else:
            raise AssertionError("the reader writes")
    print("ok reader")


if __name__ == "__main__":
    main()
