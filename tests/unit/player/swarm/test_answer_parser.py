"""HTTP answers in any pieces: heads, lengths, chunks, and what is none of that."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from player.swarm.answer_parser import HEAD_BYTES_MAX, AnswerParser

PLAIN = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A:  b \r\n\r\nhello"
CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"3;x=1\r\nhel\r\n2\r\nlo\r\n0\r\nTrailer: 1\r\n\r\n"
)
CONTINUED = b"HTTP/1.1 100 Continue\r\n\r\n" + PLAIN


def fed(data: bytes, *, keep: bool = True, cuts: list[int] | None = None) -> AnswerParser:
    parser = AnswerParser(keep=keep)
    places = sorted({0, len(data), *(cut % len(data) for cut in cuts or [])})
    for begin, end in pairwise(places):
        parser.feed(memoryview(data[begin:end]))
    return parser


@given(st.sampled_from([PLAIN, CHUNKED, CONTINUED]), st.lists(st.integers(0, 200), max_size=9))
def test_pieces_make_no_difference(answer: bytes, cuts: list[int]) -> None:
    parser = fed(answer, cuts=cuts)
    assert parser.complete and parser.reusable and bytes(parser.body) == b"hello"
    assert parser.head is not None and parser.head.status == 200
    counted = fed(answer, keep=False, cuts=cuts)
    assert counted.complete and (counted.body_bytes, bytes(counted.body)) == (5, b"")


def test_headers_have_small_names() -> None:
    head = fed(PLAIN).head
    assert head is not None and head.headers["x-a"] == "b"


@pytest.mark.parametrize(
    ("answer", "complete", "reusable"),
    [
        (b"HTTP/1.1 204 No\r\n\r\n", True, True),
        (b"HTTP/1.1 304 No\r\nContent-Length: 7\r\n\r\n", True, True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", True, True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel", False, True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\nh", True, False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nh", True, False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nhello", True, False),
        (b"HTTP/1.1 200 OK\r\n\r\nhello", False, False),
    ],
)
def test_where_it_ends(answer: bytes, complete: bool, reusable: bool) -> None:
    parser = fed(answer)
    assert (parser.complete, parser.reusable) == (complete, reusable)


@pytest.mark.parametrize(
    "answer",
    [
        b"GARBAGE\r\n\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"x" * (HEAD_BYTES_MAX + 1),
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-3\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1" * 1000,
    ],
)
def test_what_is_no_answer(answer: bytes) -> None:
    with pytest.raises(ValueError, match=r"broken connection|too large"):
        fed(answer)


@given(st.binary(max_size=300), st.lists(st.integers(0, 299), max_size=5))
def test_hostile_bytes_end_in_an_answer_or_an_error(data: bytes, cuts: list[int]) -> None:
    try:
        fed(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + data, cuts=cuts)
    except ValueError as error:
        assert str(error) in ("broken connection", "too large")
