"""pandas, polars and pyarrow: write and read frames, as the writer and as the reader."""

import io
from urllib.request import Request, urlopen

import pandas as pd
import polars as pl
import pyarrow as pa
from sqlalchemy import create_engine
from store import HOST, PORT, READER, ROWS, WRITER, connect, url

QUERY = "SELECT n, s, price, at FROM clients_frames ORDER BY n"


def answer(query: str) -> bytes:
    """Return what the store answers the reader, without any library for ClickHouse."""
    headers = {"X-ClickHouse-User": READER["username"]}
    with urlopen(Request(f"http://{HOST}:{PORT}/", data=query.encode(), headers=headers), timeout=60) as opened:
        return opened.read()


def main() -> None:
    writer, reader = connect(WRITER), connect(READER)
    writer.command(
        "CREATE OR REPLACE TABLE clients_frames (n UInt64, s String, price Nullable(Float64), at DateTime64(3, 'UTC')) "
        "ENGINE = MergeTree ORDER BY n"
    )
    half = ROWS // 2
    at = pd.Timestamp("2024-02-29 23:59:59.999", tz="UTC")
    one = pd.DataFrame({"n": range(half), "s": [f"row {n}" for n in range(half)], "price": 1.5, "at": at})
    writer.insert_df("clients_frames", one)
    print("ok pandas writes")
    two = pl.DataFrame({"n": range(half, ROWS), "s": [f"row {n}" for n in range(half, ROWS)]}).with_columns(
        pl.lit(None, pl.Float64).alias("price"), pl.lit(at.to_pydatetime()).dt.cast_time_unit("ms").alias("at")
    )
    writer.insert_df_arrow("clients_frames", two)
    print("ok polars writes")
    frame = reader.query_df(QUERY)
    assert frame.shape == (ROWS, 4), frame.shape
    assert frame["s"].iloc[-1] == f"row {ROWS - 1}"
    assert frame["price"].isna().sum() == half
    print("ok pandas reads")
    engine = create_engine(url("clickhousedb", READER))
    alchemy = pd.read_sql("SELECT s, at FROM clients_frames WHERE n = 7", engine)
    assert alchemy["s"].tolist() == ["row 7"], alchemy
    print("ok pandas reads by SQLAlchemy")
    for read, name in ((pl.read_parquet, "Parquet"), (pl.read_ipc_stream, "ArrowStream")):
        read_frame = read(io.BytesIO(answer(f"{QUERY} FORMAT {name}")))
        assert read_frame.shape == (ROWS, 4), name
        assert read_frame["s"][-1] == f"row {ROWS - 1}"
    database = pl.read_database("SELECT n, s FROM clients_frames WHERE n < 3 ORDER BY n", engine.connect())
    assert database["s"].to_list() == ["row 0", "row 1", "row 2"], database
    print("ok polars reads")
    table = reader.query_arrow(QUERY)
    assert isinstance(table, pa.Table) and table.num_rows == ROWS
    print("ok pyarrow reads")


if __name__ == "__main__":
    main()
