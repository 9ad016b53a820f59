"""Files as lines: plain and compressed, damaged and endless ones.

In: files in a temporary folder. Out: numbered lines. Never: an exception from content.
"""

import gzip
from pathlib import Path

import pytest

from infra.replay import lines
from infra.replay.lines import LineReader, content_digest


def numbered(path: Path) -> list[tuple[int, bytes | str]]:
    return [(n, str(text) if isinstance(text, ValueError) else text) for n, text in LineReader(path)]


def test_a_log_and_its_gz_are_the_same_input(tmp_path: Path) -> None:
    content = b"one\r\n\ntwo"
    (tmp_path / "a").write_bytes(content)
    (tmp_path / "b").write_bytes(gzip.compress(content))
    assert numbered(tmp_path / "a") == numbered(tmp_path / "b") == [(1, b"one"), (2, b""), (3, b"two")]
    assert content_digest(tmp_path / "a") == content_digest(tmp_path / "b")


def test_a_damaged_gz_gives_what_can_be_read(tmp_path: Path) -> None:
    whole = gzip.compress("\n".join(f"line {i * 7919}" for i in range(50_000)).encode())
    (tmp_path / "cut.gz").write_bytes(whole[: len(whole) // 2])
    read = numbered(tmp_path / "cut.gz")
    assert read[0] == (1, b"line 0") and "damaged" in str(read[-1][1]) and len(read) > 10_000
    assert content_digest(tmp_path / "cut.gz")


def test_an_endless_line_is_refused_and_the_next_one_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "MAX_LINE_BYTES", 100)
    (tmp_path / "a").write_bytes(b"x" * 1_000 + b"\n" + b"y" * 99 + b"\nz\n")
    assert [n for n, _ in numbered(tmp_path / "a")] == [1, 2, 3]
    assert numbered(tmp_path / "a")[1:] == [(2, b"y" * 99), (3, b"z")]


def test_an_empty_file_has_no_lines(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"")
    assert numbered(tmp_path / "a") == []
