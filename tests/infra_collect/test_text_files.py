"""Files as other systems write them: byte-order marks, UTF-16, NUL bytes, line ends, gzip in pieces, files that end too soon.

In: the same rows in many clothes. Out: the same orders, or one refused line. Never: a row that is lost without a word.
"""

import gzip
import os
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.replay.content import Content, Unsuitable
from infra.replay.lines import LineReader
from infra.replay.run import RefusedLine, ReplayConfig, replay
from tests.infra_collect.files import HEADER, ORDERS, order, parsed
from tests.infra_collect.memory_client import Connector

TEXT = "\n".join([HEADER, order(1, item="Café"), order(2, item="東京"), order(3)]) + "\n"
CALL = '{"type":"track","event":"waved","userId":"ü","timestamp":"2026-07-10T10:00:00Z"}\n'
VISIT = '192.0.2.1 - - [10/Jul/2026:10:00:01 +0000] "GET /a HTTP/1.1" 200 1 "-" "Firefox"\n'
LINE = VISIT.encode()


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"]
)
@pytest.mark.parametrize("packed", [False, True])
def test_every_unicode_encoding_is_read(tmp_path: Path, encoding: str, packed: bool) -> None:
    def clothed(text: str) -> bytes:
        content = text.encode(encoding)
        return gzip.compress(content) if packed else content

    found = parsed(tmp_path, clothed(TEXT))
    assert [e[0].properties["item"] for e in found.events.values()] == ["Café", "東京", "Standing"]
    calls = parsed(tmp_path, clothed(CALL * 3), "segment")
    assert [e[0].user_id for e in calls.events.values()] == ["ü"] * 3 and not calls.refused
    visits = parsed(tmp_path, clothed(VISIT * 3), "combined")
    assert len(visits.events) == 3 and not visits.refused


def test_big_endian_with_a_mark(tmp_path: Path) -> None:
    assert len(parsed(tmp_path, b"\xfe\xff" + TEXT.encode("utf-16-be")).orders) == 3


def test_a_mapping_may_name_an_encoding(tmp_path: Path) -> None:
    for encoding in ("cp1252", "utf-16"):
        mapping = f'[csv]\nencoding = "{encoding}"\n{ORDERS}'
        text = TEXT.replace("東京", "Køln")
        found = parsed(tmp_path, text.encode(encoding), mapping=mapping)
        assert [e[0].properties["item"] for e in found.events.values()][:2] == ["Café", "Køln"]
        # What the file itself shows is true, whatever the mapping says.
        assert parsed(tmp_path, text.encode("utf-8-sig"), mapping=mapping).events[2][0].properties["item"] == "Café"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_files_that_were_put_together_have_marks_within(tmp_path: Path, encoding: str) -> None:
    found = parsed(tmp_path, TEXT.encode(encoding) + TEXT.encode(encoding))
    assert found.orders == ["A1", "A2", "A3"] * 2 and found.refused == {5: "timestamp unreadable"}  # the second header
    assert len(parsed(tmp_path, VISIT.encode(encoding) * 3, "combined").events) == 3
    assert len(parsed(tmp_path, CALL.encode(encoding) * 3, "segment").events) == 3


def test_what_is_no_text_is_one_refused_line(tmp_path: Path) -> None:
    rows = [
        HEADER.encode(),
        order(1).encode(),
        order(2, item="x").encode().replace(b"x", b"\xff\xfe"),
        order(3).encode(),
    ]
    assert parsed(tmp_path, b"\n".join(rows)).refused == {3: "not utf-8"}
    half = TEXT.encode("utf-16").replace("東".encode("utf-16-le"), b"\x00\xd8")
    assert parsed(tmp_path, half).refused == {3: "not utf-8"}
    odd = TEXT.encode("utf-16")[:-2] + b"\n"
    assert parsed(tmp_path, odd).refused == {4: "not utf-8"}


@pytest.mark.parametrize("form", ["csv", "segment", "combined"])
def test_nul_bytes_cost_their_line(tmp_path: Path, form: str) -> None:
    line = {"csv": order(2), "segment": CALL.strip(), "combined": VISIT.strip()}[form].encode()
    begin = HEADER.encode() + b"\n" if form == "csv" else b""
    content = begin + b"\n".join([line, b"\x00" * 300 + line, line[:9] + b"\x00" + line[10:], line])
    found = parsed(tmp_path, content, form)
    first = 2 if form == "csv" else 1
    assert found.refused == {first + 1: "line with NUL bytes", first + 2: "line with NUL bytes"}
    assert list(found.events) == [first, first + 3]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\r\r\n"])
def test_line_ends(tmp_path: Path, end: str) -> None:
    for content in (TEXT, TEXT.rstrip("\n")):
        found = parsed(tmp_path, content.replace("\n", end))
        assert list(found.events) == [2, 3, 4] and found.lines == 4


def test_mixed_line_ends(tmp_path: Path) -> None:
    found = parsed(tmp_path, f"{HEADER}\r\n{order(1)}\r{order(2)}\n{order(3)}\r\n")
    assert found.orders == ["A1", "A2", "A3"]


def test_carriage_returns_alone_need_no_more_memory(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"\r".join([b"x" * 1_000] * 5_000) + b"\r" * 3_000_000 + b"y\n")
    read = list(LineReader(tmp_path / "a"))
    assert [text for _, text in read[:5_000]] == [b"x" * 1_000] * 5_000
    assert max(len(text) for _, text in read if isinstance(text, bytes)) <= 1_000


def members(pieces: list[str]) -> Iterator[bytes]:
    for piece in pieces:
        yield gzip.compress(piece.encode())


def test_gzip_members_are_one_content(tmp_path: Path) -> None:
    content = b"".join(members([TEXT[:70], TEXT[70:], ""]))
    assert len(parsed(tmp_path, content).orders) == 3
    assert len(parsed(tmp_path, content + b"\x00" * 700).orders) == 3  # as tapes pad it
    assert len(parsed(tmp_path, TEXT, name="file.gz").orders) == 3  # a name says nothing


@pytest.mark.parametrize("cut", [1, 8, 400])
def test_a_packed_file_that_is_cut_off_gives_all_before_and_says_so(tmp_path: Path, cut: int) -> None:
    lines = [VISIT.replace("/a", f"/{zlib.crc32(str(i).encode())}") for i in range(500)]
    whole = gzip.compress("".join(lines).encode())
    (tmp_path / "log").write_bytes(whole[:-cut])
    connector = Connector()
    result = replay(ReplayConfig(tmp_path / "log", "combined"), connector)
    assert result.lines + result.refused == result.read == result.file_lines and result.refused == 1
    assert result.named == (RefusedLine(result.read, "the packed file is damaged: it is cut off here"),)
    assert (result.exit_code, result.problem) == (1, "the packed file is damaged: it is cut off here")
    assert result.lines == 500 if cut <= 8 else 380 < result.lines < 500
    urls = [call["url"] for call in connector.calls if call["event_name"] == "page_view"]
    assert urls == [line.split()[6] for line in lines[: result.lines]]


def test_a_packed_file_that_is_changed_in_the_middle_gives_all_before(tmp_path: Path) -> None:
    whole = bytearray(gzip.compress("".join(f"{i * 7919:x} " + VISIT for i in range(9_000)).encode()))
    packed = bytes(whole)
    whole[len(whole) // 2 : len(whole) // 2 + 64] = b"\xff" * 64
    (tmp_path / "a").write_bytes(bytes(whole))
    reader = LineReader(tmp_path / "a")
    read = list(reader)
    assert 3_000 < len(read) < 9_000 and "damaged" in str(read[-1][1]) and "damaged" in str(reader.problem)
    (tmp_path / "b").write_bytes(gzip.compress(LINE) + b"no more gzip")
    assert next(text for _, text in LineReader(tmp_path / "b")) == LINE.rstrip()
    (tmp_path / "c").write_bytes(packed[:-8] + bytes([packed[-8] ^ 1]) + packed[-7:])
    assert "its checksum is that of other content" in str(list(LineReader(tmp_path / "c"))[-1])


def test_a_file_that_grows_is_read_to_where_it_was(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(LINE + LINE[:60])
    reader = LineReader(log)
    with log.open("ab") as more:
        more.write(LINE[60:] + LINE)
    read = list(reader)
    assert read[0] == (1, LINE.rstrip()) and "grew" in str(read[1][1]) and len(read) == 2 and reader.problem


def test_a_file_that_changes_meanwhile_is_a_problem(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(LINE * 3)

    class Meddling(Connector):
        def __call__(self, delivered: object) -> object:  # type: ignore[override]
            log.write_bytes(LINE.replace(b"/a", b"/b") * 3)
            return super().__call__(delivered)  # type: ignore[arg-type]

    result = replay(ReplayConfig(log, "combined"), Meddling())  # type: ignore[arg-type]
    assert (result.lines, result.exit_code) == (3, 1) and "changed" in str(result.problem)
    content = Content(log)
    log.replace(tmp_path / "old")
    log.write_bytes(LINE)
    with pytest.raises(Unsuitable, match="replaced"):
        list(content.blocks())


@pytest.mark.parametrize(
    ("head", "sentence"),
    [
        (b"PK\x03\x04", "ZIP archive or a workbook"),
        (b"\xfd7zXZ\x00", "xz"),
        (b"\x28\xb5\x2f\xfd", "zstd"),
        (gzip.compress(gzip.compress(b"a", mtime=0), mtime=0), "packed twice"),
    ],
)
def test_what_holds_no_lines_is_refused_at_once(tmp_path: Path, head: bytes, sentence: str) -> None:
    (tmp_path / "a").write_bytes(head + bytes(500))
    connector = Connector()
    with pytest.raises(Unsuitable, match=sentence):
        replay(ReplayConfig(tmp_path / "a", "segment"), connector)
    assert connector.client is None


def test_a_folder_and_a_pipe_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path, what in ((tmp_path, "a folder"), (tmp_path / "pipe", "no regular file")):
        with pytest.raises(Unsuitable, match=what):
            LineReader(path)


@pytest.mark.parametrize("form", ["csv", "segment", "combined"])
def test_an_empty_file_is_no_error(tmp_path: Path, form: str) -> None:
    for content in (b"", b"\n\n", gzip.compress(b""), b"\xef\xbb\xbf"):
        found = parsed(tmp_path, content, form)
        assert not found.events and not found.refused
