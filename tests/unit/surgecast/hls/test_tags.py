"""Lines of playlists are found where they stand, whatever is wrong with them."""

from hypothesis import given
from hypothesis import strategies as st

from surgecast.hls.tags import Line, read_lines

TEXT = """\ufeff#EXTM3U
#EXT-X-VERSION:6

# a comment
#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:00.000Z
#EXTINF:2.0,
a.ts
#EXT-X-PART:DURATION=0.4,URI="b,c.m4s",INDEPENDENT=YES
#EXTINF:x
b.ts
#EXT-X-ENDLIST
"""


def test_lines_are_counted_as_people_do() -> None:
    lines = read_lines(TEXT)
    assert lines.line("#EXT-X-VERSION") == Line(2, "#EXT-X-VERSION:6")
    assert lines.segment(0) == Line(7, "a.ts")
    assert lines.segment(0, "#EXTINF") == Line(6, "#EXTINF:2.0,")
    assert lines.segment(1, "#EXT-X-MAP") == Line(10, "b.ts"), "has no such tag: its URI"
    assert lines.segment(2) is None and lines.segment(-1) is None
    assert [tag.name for tag in lines.groups[-1]] == ["#EXT-X-ENDLIST"]
    assert len(lines.all("#EXTINF")) == 2 and lines.first("#EXT-X-GAP") is None


def test_attributes() -> None:
    part = read_lines(TEXT).first("#EXT-X-PART")
    assert part is not None
    assert part.attributes == {"DURATION": "0.4", "URI": "b,c.m4s", "INDEPENDENT": "YES"}


@given(st.text(max_size=300) | st.sampled_from([TEXT[:n] for n in range(len(TEXT))]))
def test_anything_has_lines(text: str) -> None:
    lines = read_lines(text)
    assert len(lines.groups) == len(lines.uris) + 1
    for tag in lines.tags:
        assert tag.line.number >= 1 and isinstance(tag.attributes, dict)
