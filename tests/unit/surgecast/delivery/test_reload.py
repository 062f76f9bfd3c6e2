"""R36, and what is no number, is refused before anything is waited for."""

import pytest

from surgecast.delivery.reload import Directives, parse_directives
from surgecast.errors import RemoteError


@pytest.mark.parametrize(
    ("query", "asked"),
    [
        ("", Directives()),
        ("CMCD=bl%3D400", Directives()),
        ("_HLS_msn=12", Directives(12)),
        ("_HLS_msn=12&_HLS_part=0", Directives(12, 0)),
        ("CMCD=x&_HLS_part=3&_HLS_msn=12&_HLS_skip=YES", Directives(12, 3, skip=True)),
        ("_HLS_skip=v2", Directives(skip=True)),
        ("_HLS_skip=v9", Directives()),
        ("_HLS_skip=", Directives()),
        ("%5FHLS%5Fmsn=%31%32", Directives(12)),
        ("_HLS_msn=" + "9" * 18, Directives(10**18 - 1)),
        ("_HLS_pathway=a", Directives()),
    ],
)
def test_what_is_asked(query: str, asked: Directives) -> None:
    assert parse_directives(query) == asked


@pytest.mark.parametrize(
    "query",
    [
        "_HLS_part=3",
        "_HLS_part=3&_HLS_skip=YES",
        "_HLS_msn=",
        "_HLS_msn",
        "_HLS_msn=-1",
        "_HLS_msn=%2B1",
        "_HLS_msn=+1",
        "_HLS_msn=1.5",
        "_HLS_msn=0x10",
        "_HLS_msn=1e3",
        "_HLS_msn=twelve",
        "_HLS_msn=%D9%A1",
        "_HLS_msn=" + "9" * 19,
        "_HLS_msn=12&_HLS_msn=12",
        "_HLS_msn=12&_HLS_part=-1",
        "_HLS_msn=12&_HLS_part=",
        "_HLS_msn=12&_HLS_part=first",
        "_HLS_msn=12&_HLS_part=1&_HLS_part=2",
        "&".join(["_HLS_msn=1", *(f"a{n}=1" for n in range(100))]),
    ],
)
def test_what_is_refused(query: str) -> None:
    with pytest.raises(RemoteError):
        parse_directives(query)
