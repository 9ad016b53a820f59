"""The contract's pure parts: examples in docstrings, round trips, laws."""

import doctest
import importlib
import io
import pkgutil

import fastavro
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import schemas
from schemas.aggregates import BINS, REGISTERS, coupons, distinct, registers_of
from schemas.avro_batch import MAGIC_BYTES, BatchDecoder, Misaligned, frame_header, schema_id_of
from schemas.avro_walk import Walk
from schemas.catalogue import MEASURES
from schemas.families import FAMILIES
from schemas.formulas import BadFormula, Operand, compile_formula
from schemas.kpis import KPIS
from schemas.partials import (
    AdditivePart,
    Head,
    SketchPart,
    pack_additive,
    pack_head,
    pack_sketch,
    unpack_additive,
    unpack_head,
    unpack_sketch,
)  # fmt: skip
from schemas.rollup import rolling_max, rolling_sum
from schemas.windows import WINDOWS, window_bounds_ms
from tests.schemas.rows import frame

MODULES = [m.name for m in pkgutil.iter_modules(schemas.__path__)]


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings(name: str) -> None:
    assert doctest.testmod(importlib.import_module(f"schemas.{name}")).failed == 0


@pytest.mark.parametrize("size", [0, 1, 10, 1_000, 50_000])
def test_distinct_counts_are_close(size: int) -> None:
    hashes = np.random.default_rng(size).integers(0, 2**64, size, np.uint64)
    assert distinct(registers_of(coupons(hashes))) == pytest.approx(size, rel=0.03, abs=1)


@given(st.lists(st.integers(0, 700_000), min_size=1, max_size=300), st.floats(0, 1))
def test_quantiles_are_close(values: list[int], q: float) -> None:
    counts = np.bincount(BINS.index(np.array(values)), minlength=BINS.size)
    exact = sorted(values)[int(q * (len(values) - 1))]
    found = BINS.quantile(counts, q)
    assert found is not None
    assert found == pytest.approx(min(exact, 600_000), rel=0.021, abs=1)
    both = BINS.quantiles(np.stack([counts, np.zeros_like(counts)]), q)
    assert both[0] == found
    assert np.isnan(both[1])


@given(st.integers(1, 70), st.integers(1, 40), st.integers(0, 2**32))
def test_rolling_equals_the_plain_way(extra: int, length: int, seed: int) -> None:
    buckets = np.random.default_rng(seed).integers(0, 60, (length + extra, 3))
    slices = [buckets[i : i + length] for i in range(extra + 1)]
    assert np.array_equal(rolling_sum(buckets, length), [s.sum(axis=0) for s in slices])
    assert np.array_equal(rolling_max(buckets, length), [s.max(axis=0) for s in slices])


def test_partials_come_back_as_they_were() -> None:
    bins = np.zeros((2, BINS.size), np.int64)
    bins[1, 7] = 3
    part = AdditivePart(
        ("city",), (("t", None), ("t", "Köln")), np.array([1, 2]), np.array([0, 1]), ("a", "b"),
        np.arange(4).reshape(2, 2), {"q": bins},
    )  # fmt: skip
    [back] = unpack_additive(pack_additive([part]))
    assert (back.by, back.dims, back.names) == (part.by, part.dims, part.names)
    assert all(np.array_equal(getattr(back, n), getattr(part, n)) for n in ("rows", "late", "values"))
    assert np.array_equal(back.bins["q"], bins)
    sketch = SketchPart((), (("t",),), {"u": (np.array([5, 9], np.uint32),), "v": (np.zeros(REGISTERS, np.uint8),)})
    again = unpack_sketch(pack_sketch(sketch))
    assert again.sketches["u"][0].dtype == np.uint32
    assert again.sketches["v"][0].dtype == np.uint8
    head = Head(5, 2, None, True, 9, rows=1)
    assert unpack_head(pack_head(head)) == head


def test_formulas_refuse_what_is_no_arithmetic() -> None:
    for text in ("__import__('os')", "a ** 2", "a if b else c", "a.b", "quantile(a, 2.0)", "'x'", "a +"):
        with pytest.raises(BadFormula):
            compile_formula(text)
    values = {Operand("a"): np.array([3.0, np.nan]), Operand("b"): np.array([0.0, 1.0])}
    assert np.isnan(compile_formula("(a - b) / b + 1.5").evaluate(values)).all()


def test_kpis_read_measures_that_exist_and_say_what_they_mean() -> None:
    for kpi in KPIS.values():
        assert kpi.help.endswith("."), kpi.name
        assert {o.measure for o in kpi.compiled.operands} <= set(MEASURES)
    assert set(KPIS["page_views"].windows) == {"1m", "5m", "1h", "24h", "1d"}


def test_windows_of_days_follow_the_clock() -> None:
    start, end = window_bounds_ms(WINDOWS["1d"], 20_541, "Europe/Berlin")  # 2026-03-29, when the clock jumps ahead
    assert end - start == 23 * 3_600_000


@pytest.mark.parametrize("family", ["commerce", "performance"])
def test_decoding_a_batch_equals_decoding_one_by_one(family: str) -> None:
    schema = FAMILIES[family].schema
    parsed, held = fastavro.parse_schema(schema), frame(family, 300)
    payloads: list[bytes | None] = []
    for record in held.iter_rows(named=True):
        out = io.BytesIO()
        out.write(frame_header(3))
        fastavro.schemaless_writer(out, parsed, record)
        payloads.append(out.getvalue())
    decoder = BatchDecoder(schema, {3: schema}.__getitem__)
    whole = decoder(payloads, range(300))
    assert whole.bad == ()
    assert whole.frame.drop("__offset").equals(held)
    damaged = [*payloads]
    damaged[4], damaged[9], damaged[11], damaged[20] = (
        None,
        b"\x00\x00\x00\x00\x07x",
        (payloads[11] or b"")[:-2],
        b"junk",
    )
    damaged[30] = (payloads[30] or b"") + b"\x00"
    found = decoder(damaged, range(300))
    assert [(b.index, b.error_code) for b in found.bad] == [
        (4, "EMPTY"), (9, "UNKNOWN_SCHEMA"), (11, "UNDECODABLE"), (20, "NO_HEADER"), (30, "UNDECODABLE"),
    ]  # fmt: skip
    good = [i for i in range(300) if i not in (4, 9, 11, 20, 30)]
    assert found.frame.drop("__offset").equals(held[good])
    assert found.frame["__offset"].to_list() == good


_SCHEMA = FAMILIES["interaction"].schema
_BLANK = {
    f.name: None if f.nullable else {"string": "x", "long": 7, "boolean": True}[f.kind]
    for f in FAMILIES["interaction"].fields
}


def _payload(name: str, schema_id: int = 3) -> bytes:
    out = io.BytesIO()
    out.write(frame_header(schema_id))
    fastavro.schemaless_writer(out, fastavro.parse_schema(_SCHEMA), _BLANK | {"event_name": name})
    return out.getvalue()


_WHOLE = _payload("page_view")
hostile = st.one_of(
    st.just(_WHOLE), st.just(_payload("search")), st.just(_payload("share", 4)), st.just(b""), st.none(),
    st.integers(0, len(_WHOLE)).map(lambda n: _WHOLE[:n]),
    st.binary(max_size=40).map(lambda more: _WHOLE + more),
    st.binary(min_size=8, max_size=8).map(lambda between: _WHOLE + between + _WHOLE),
    st.tuples(st.integers(0, len(_WHOLE) - 1), st.integers(1, 255)).map(
        lambda f: _WHOLE[: f[0]] + bytes([_WHOLE[f[0]] ^ f[1]]) + _WHOLE[f[0] + 1 :]
    ),
)  # fmt: skip


@given(hostile)
def test_the_walk_finds_only_what_does_not_decode(payload: bytes | None) -> None:
    if payload is None or schema_id_of(payload) != 3:
        return
    decoder = BatchDecoder(_SCHEMA, {3: _SCHEMA}.__getitem__)
    if Walk(_SCHEMA, MAGIC_BYTES).surely_broken(payload):
        with pytest.raises(Misaligned):
            decoder.block(3)([payload], np.array([0]))


@pytest.mark.parametrize("family", FAMILIES)
def test_the_walk_lets_every_good_record_pass(family: str) -> None:
    schema = FAMILIES[family].schema
    parsed, walk, broken = fastavro.parse_schema(schema), Walk(schema, 0), 0
    for record in frame(family, 50).iter_rows(named=True):
        out = io.BytesIO()
        fastavro.schemaless_writer(out, parsed, record)
        good = out.getvalue()
        assert not walk.surely_broken(good)
        broken += sum(walk.surely_broken(good[:end]) for end in range(len(good)))
        assert walk.surely_broken(good + b"x")
    assert broken > 50 * 28  # each byte that is missing is missed, but where a text's length or a union's branch stands
    nested = {"fields": [{"type": {"type": "array", "items": "long"}}]}
    assert not Walk(nested, 0).surely_broken(b"")


@given(st.lists(hostile, min_size=1, max_size=12))
def test_a_record_is_judged_alike_alone_and_among_others(payloads: list[bytes | None]) -> None:
    decoder = BatchDecoder(_SCHEMA, {3: _SCHEMA, 4: _SCHEMA}.__getitem__)
    together = decoder(payloads, range(len(payloads)))
    rows, bad = [], []
    for i, payload in enumerate(payloads):
        alone = decoder([payload], [i])
        rows += alone.frame.rows()
        bad += [(i, b.error_code) for b in alone.bad]
    assert together.frame.rows() == rows
    assert [(b.index, b.error_code) for b in together.bad] == bad
    assert len(rows) + len(bad) == len(payloads)
