"""What is not a usable playlist is refused, with a text that says what was found."""

import pytest

from surgecast.errors import RemoteError
from surgecast.hls.model import MediaPlaylist
from surgecast.hls.parse import parse, parse_media, parse_multivariant

HEAD = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n"
VARIANTS = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=100000\nlow/media.m3u8\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "empty"),
        (" \n \n", "empty"),
        ("<!DOCTYPE html>\n<html><body>Not found</body></html>", "web page"),
        ("<html>", "web page"),
        ("not a playlist", "expected #EXTM3U, found 'not a playlist'"),
        ("#EXTM3U8\n", "expected #EXTM3U"),
        ("#EXTM3U\n", "no EXT-X-TARGETDURATION"),
        ("#EXTM3U\n#EXTINF:2,\na.ts\n", "no EXT-X-TARGETDURATION"),
        ("#EXTM3U\n#EXT-X-TARGETDURATION:soon\n", "not a valid playlist"),
        ("#EXTM3U\n#EXT-X-TARGETDURATION:0\n", "EXT-X-TARGETDURATION"),
        (HEAD + "#EXTINF:-2.0,\na.ts\n", "segment a.ts: EXTINF"),
        (HEAD + "#EXTINF:nan,\na.ts\n", "segment a.ts: EXTINF"),
        (HEAD + "#EXTINF:inf,\na.ts\n", "segment a.ts: EXTINF"),
        (HEAD + "#EXTINF:two,\na.ts\n", "not a valid playlist"),
        (HEAD + "#EXTINF:2.0,\n", "cut off"),
        (HEAD + "#EXT-X-MEDIA-SEQUENCE:-1\n", "EXT-X-MEDIA-SEQUENCE"),
        (HEAD + "#EXT-X-MEDIA-SEQUENCE:first\n", "not a valid playlist"),
        (HEAD + "#EXT-X-DISCONTINUITY-SEQUENCE:-4\n", "EXT-X-DISCONTINUITY-SEQUENCE"),
        (HEAD + "#EXT-X-PROGRAM-DATE-TIME:today\n#EXTINF:2,\na.ts\n", "not a valid playlist"),
        ("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n", "no variant has a URI"),
        ("#EXTM3U\n#EXT-X-STREAM-INF:CODECS=\"x\"\na.m3u8\n", "no BANDWIDTH"),
        ("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1,RESOLUTION=big\na.m3u8\n", "RESOLUTION"),
    ],
)  # fmt: skip
def test_refuses(text: str, said: str) -> None:
    with pytest.raises(RemoteError) as caught:
        parse(text)
    assert said in str(caught.value)


def test_says_which_kind_was_expected() -> None:
    with pytest.raises(RemoteError, match="expected a media playlist"):
        parse_media(VARIANTS)
    with pytest.raises(RemoteError, match="expected a multivariant playlist"):
        parse_multivariant(HEAD)


def test_ignores_what_it_does_not_know() -> None:
    playlist = parse(HEAD + "#EXT-X-FROM-TOMORROW:A=1\n# a comment\n#EXTINF:1.5,title\na.ts\n")
    assert isinstance(playlist, MediaPlaylist)
    assert [segment.uri for segment in playlist.segments] == ["a.ts"]


def test_dates_are_in_utc_whatever_zone_they_came_in() -> None:
    date = "#EXT-X-PROGRAM-DATE-TIME:2026-01-01T12:00:00.000{}\n#EXTINF:1.5,\na.ts\n"
    zulu, east, bare = (parse_media(HEAD + date.format(z)) for z in ("Z", "+02:00", ""))
    moments = [p.segments[0].program_date_time for p in (zulu, east, bare)]
    assert [moment.isoformat() for moment in moments if moment] == [
        "2026-01-01T12:00:00+00:00",
        "2026-01-01T10:00:00+00:00",
        "2026-01-01T12:00:00+00:00",
    ]
