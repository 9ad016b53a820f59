"""What becomes of the bytes that a broker answers a fetch with."""

import pytest

from schemas.origin import origin_of
from sinks.record_batches import CorruptBatch, Fetched, fetched
from tests.sinks.batches import batch, numbers


def offsets(one: Fetched) -> list[int]:
    return [r.offset for r in one.records()]


def test_records_have_what_the_sink_asks_of_them() -> None:
    one = fetched(batch(7, [b"a", None]), 7)
    first, second = one.records()
    assert (first.offset, first.value, first.timestamp) == (7, b"a", 1_700_000_000_007)
    assert (second.offset, second.value) == (8, None)
    assert origin_of(first.headers) == ("shop", "p", 7)
    assert (one.start, one.behind, one.missing) == (7, 9, 0)


def test_a_fetch_may_begin_in_the_middle_of_a_batch_and_end_in_another() -> None:
    whole = numbers(0, 9).data
    one = fetched(whole[:-5], 2)
    assert offsets(one) == [2, 3, 4, 5]
    assert (one.behind, one.missing) == (6, 0)


@pytest.mark.parametrize("data", [b"", b"\0" * 11, batch(4, [b"a"])[:-1]])
def test_no_whole_batch_is_no_progress(data: bytes) -> None:
    one = fetched(data, 4)
    assert (one.behind, offsets(one)) == (4, [])


def test_offsets_in_no_batch_are_missing() -> None:
    one = fetched(batch(5, [b"a"]) + batch(8, [b"b"]), 3)
    assert (one.missing, offsets(one), one.behind) == (4, [5, 8], 9)


def test_another_checksum_gives_nothing() -> None:
    data = bytearray(numbers(0, 6).data)
    data[-1] ^= 1
    with pytest.raises(CorruptBatch, match="offset 3 has another checksum"):
        fetched(bytes(data), 0).records()


def test_aborted_transactions_are_left_out() -> None:
    log = b"".join([
        batch(0, [b"aborted"], producer=1), batch(1, [b"kept"], producer=2), batch(2, [b"plain"]),
        batch(3, [b"\0\0\0\0"], producer=1, control=True), batch(4, [b"committed"], producer=1),
        batch(5, [b"\0\0\0\1"], producer=1, control=True), batch(6, [b"\0\0\0\1"], producer=2, control=True),
        batch(7, [b"aborted"], producer=1), batch(8, [b"aborted"], producer=1),
    ])  # fmt: skip
    one = fetched(log, 0, [(1, 7), (1, 0)])
    assert [r.value for r in one.records()] == [b"kept", b"plain", b"committed"]
    assert (one.behind, one.missing) == (9, 0)
