"""Targets that read text: playlists, configuration, and what an origin left on disk."""

import atexit
import math
import shutil
import tempfile
import zlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from origin.settings import OriginSettings
from segmenter.faults import FaultWatch
from surgecast import config
from surgecast.delivery.adaptation import cmcd
from surgecast.delivery.ranges import UNSATISFIABLE, parse_range
from surgecast.delivery.sessions.log import FileSessionLog
from surgecast.errors import ConfigError, RemoteError
from surgecast.hls.delta import merge
from surgecast.hls.model import MediaPlaylist
from surgecast.hls.parse import parse
from surgecast.hls.render import render_media, render_multivariant
from surgecast.media.archive_index import read_shows, show_lines
from surgecast.media.catalog import Catalog, Show
from surgecast.media.journal import ChannelJournal
from tests.fuzz.target import Target, refused

ROOT = Path(__file__).parents[2]
_RUNGS = ("low",)

_MEDIA = b"""#EXTM3U
#EXT-X-VERSION:9
#EXT-X-TARGETDURATION:2
#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=0.75,CAN-SKIP-UNTIL=12.0
#EXT-X-PART-INF:PART-TARGET=0.25
#EXT-X-MEDIA-SEQUENCE:7
#EXT-X-DISCONTINUITY-SEQUENCE:1
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-START:TIME-OFFSET=-4.5,PRECISE=YES
#EXT-X-MAP:URI="e0-init.mp4"
#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:00.000Z
#EXTINF:2.000,
e0-7.m4s
#EXT-X-DISCONTINUITY
#EXT-X-PART:DURATION=0.25,URI="e1-8.0.m4s",INDEPENDENT=YES
#EXTINF:0.25,
e1-8.m4s
#EXT-X-PART:DURATION=0.25,URI="e1-9.0.m4s",INDEPENDENT=YES
#EXT-X-PRELOAD-HINT:TYPE=PART,URI="e1-9.1.m4s"
#EXT-X-RENDITION-REPORT:URI="../mid/media.m3u8",LAST-MSN=9,LAST-PART=0
"""
_SKIPPED = b"""#EXTM3U
#EXT-X-VERSION:9
#EXT-X-TARGETDURATION:2
#EXT-X-MEDIA-SEQUENCE:7
#EXT-X-SKIP:SKIPPED-SEGMENTS=2
#EXTINF:2,
e0-9.m4s
#EXT-X-ENDLIST
"""
_INDEX = b"""#EXTM3U
#EXT-X-VERSION:6
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-STREAM-INF:BANDWIDTH=900000,AVERAGE-BANDWIDTH=700000,CODECS="avc1.4d401f,mp4a.40.2",\
RESOLUTION=640x360,FRAME-RATE=25.000
mid/media.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=300000
low/media.m3u8
"""


@cache
def _scratch() -> Path:
    folder = tempfile.mkdtemp(prefix="fuzz-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def m3u8(data: bytes) -> str:
    """A playlist, or RemoteError. What was read is written and read again without a change."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return "not text"
    try:
        playlist = parse(text)
    except RemoteError as error:
        return refused(error)
    if isinstance(playlist, MediaPlaylist):
        try:
            merge(playlist, playlist)
        except RemoteError as error:
            return refused(error)
        render_media(playlist)
        return f"media, {len(playlist.segments).bit_length()}"
    render_multivariant(playlist)
    return f"multivariant, {len(playlist.variants).bit_length()}"


def settings(data: bytes) -> str:
    """Any file is a configuration or a ConfigError that tells where."""
    path = _scratch() / "origin.yaml"
    path.write_bytes(data)
    try:
        config.load(path, OriginSettings, {"PORT": "8080"})
    except ConfigError as error:
        assert str(error).startswith(str(path))
        return refused(error).replace(str(_scratch()), "")
    return "loaded"


def session_log(data: bytes) -> str:
    """Lines that cannot be read are left out; the log can be written all the same."""
    folder = _scratch()
    (folder / "sessions.jsonl").write_bytes(data)
    log = FileSessionLog(folder)
    records = log.load()
    log.append(records)
    log.close()
    return f"{len(records)} records"


def ledger(data: bytes) -> str:
    """A ledger that cannot be read is a ConfigError, never a number used twice."""
    folder = _scratch() / "channel"
    folder.mkdir(exist_ok=True)
    (folder / "ledger.json").write_bytes(data)
    try:
        journal = ChannelJournal(folder, runtime_dir=_scratch())
    except ConfigError as error:
        return refused(error).replace(str(_scratch()), "")
    return f"next {journal.ledger.numbers().next_msn.bit_length()}"


def mirrored(data: bytes) -> str:
    """A set on disk is whole, or left out."""
    folder = _scratch() / "mirror"
    (folder / "segments").mkdir(parents=True, exist_ok=True)
    (folder / "ledger.json").write_bytes(_OLD_LEDGER)
    (folder / "segments" / "7.set").write_bytes(data)
    restored = ChannelJournal(folder, runtime_dir=_scratch()).restore(_RUNGS, 12)
    assert restored.next_msn in (7, 8)
    return f"{len(restored.sets)} sets"


def archive_index(data: bytes) -> str:
    """What can be read of an index is an archive: it can be shrunk, searched, ended, and written
    again to the same. Whole lines get their right checksum, so that values are what is mutated."""
    *lines, rest = data.split(b"\n")
    content = b"".join(b"%08x %s\n" % (zlib.crc32(line), line) for line in lines) + rest
    shows, unusable, whole_bytes = read_shows(content)
    assert whole_bytes == len(content) - len(rest) and unusable <= len(lines) + 1
    assert all(not show.open for show in shows[:-1]), "only the last one may be open"
    again, bad, _ = read_shows(b"".join(line for show in shows for line in show_lines(show)))
    assert not bad and [list(show.entries) for show in again] == [list(s.entries) for s in shows]
    for kept, room in ((7200.0, 1 << 40), (60.0, 1000), (60.0, 0)):
        catalog = Catalog(kept, room)
        catalog.shows = again
        catalog.shrink()
        assert all(show.open for show in catalog.shows) or catalog.size_bytes <= room
    return f"{len(shows)} shows, {_searched(shows)}, {unusable.bit_length()} lines unusable"


def _searched(shows: Sequence[Show]) -> str:
    """Each entry is where it is looked for; the open show can be ended."""
    catalog = Catalog(60.0, 1 << 40)
    catalog.shows = list(shows)
    for show in shows:
        for entry in show.entries:
            assert show.find(entry.msn, entry.epoch) == entry
            assert entry.program_date_time.year < 10_000
        assert 0 <= show.listed_from <= len(show.entries)
    return "ended" if catalog.end() else "empty"


def byte_range(data: bytes) -> str:
    """A range lies within the object, whatever the field says."""
    size = int.from_bytes(data[:3], "big")
    found = parse_range([data[3:].decode("latin-1")], size)
    if found is None or found == UNSATISFIABLE:
        return str(found)
    assert 0 <= found[0] < found[1] <= size
    return "range"


def fault_lines(data: bytes) -> str:
    """Lines of FFmpeg's filters: what is no such line is passed over, times stay finite."""
    watch, changes = FaultWatch(), set[str]()
    for line in data.decode("latin-1").splitlines():
        if (change := watch.feed(line)) is not None:
            assert math.isfinite(change.at_s)
            changes.add(f"{change.fault} {change.began}")
    assert all(0 <= lasting < math.inf for lasting in watch.lasting_s().values())
    return " ".join(sorted(changes))


def client_data(data: bytes) -> str:
    """What a player says of itself is a report, whatever it is; numbers stay finite."""
    text = data.decode("latin-1")
    reports = [*cmcd.of_body(data), cmcd.of_query(text), cmcd.of_headers([text])]
    told = [report for report in reports if report is not None]
    for report in told:
        assert 0 <= (report.throughput_bps or 0) < math.inf
        assert 0 <= (report.buffer_s or 0) < math.inf
    return f"{len(told)} {told[:1] != [cmcd.Cmcd()]}"


_FAULTS = b"""frame:0 pts:0 pts_time:0
surgecast=picture
frame:12 pts:60 pts_time:2.4
lavfi.freezedetect.freeze_start=0.4
surgecast=picture
frame:3 pts:144000 pts_time:3
lavfi.silence_start=1.02
surgecast=sound
frame:20 pts:100 pts_time:4
lavfi.freezedetect.freeze_end=3.9
lavfi.black_start=4
"""
_SET = (
    b'{"version": 1, "msn": 7, "epoch": "e0", "start_utc": 7.0, "duration_s": 2.0,'
    b' "discontinuity": false, "slate": false, "discontinuity_number": 2, "payloads": [{"rung":'
    b' "low", "size_bytes": 4, "digest":'
    b' "3a6eb0790f39ac87c94f3856b2dd2c5d110e6811602261a9a923d3bb23adc8b7"}]}\ndata'
)
_OLD_LEDGER = (
    b'{"version": 1, "next_msn": 8, "discontinuity_number": 2, "end_utc": 9.0, "decided": {}}'
)
_LEDGER = (
    b'{"version": 2, "life": "1f", "clean": true, "decided": {}, "numbers": {"ts": {"next_msn": 8,'
    b' "discontinuity_number": 2, "end_utc": 9.0}}, "reserved": {"ts": 1000}}'
)
_ARCHIVE = b"""{"ladder":[{"name":"high","width":640,"height":360,"frame_rate":"30000/1001",\
"declared_peak_bps":900000,"declared_average_bps":700000,"codecs":"avc1.4d401f,mp4a.40.2"},\
{"name":"low","width":320,"height":180,"frame_rate":"25","declared_peak_bps":300000,\
"declared_average_bps":200000,"codecs":"avc1.4d401f,mp4a.40.2"}],"target_duration_s":2}
[7,7,"mw1",1767225600.0,2.0,0,0,[220000,60000],7]
[8,8,"mw1",1767225602.0,2.0,0,0,[210000,61000],7]
[9,10,"mw2",1767225610.0,2.0,1,1,[230000,59000],8]
[11,12,"mw2",1767225614.0,2.0,2,1,[230000,59000],8]
{"end":"20260101-000000"}
{"ladder":[{"name":"low","width":320,"height":180,"frame_rate":"25","declared_peak_bps":300000,\
"declared_average_bps":200000,"codecs":"avc1.4d401f,mp4a.40.2"}],"target_duration_s":2}
[20,20,"mw3",1767226600.0,2.0,1,2,[60000],20]
"""
_SESSIONS = (
    b'{"session": "a", "requested": "top", "rung": "low", "tags_gone": 0}\n'
    b'{"session": "a", "requested": "low", "msn": 7, "rung": "low", "tagged": true}\n'
)


def _configurations() -> list[bytes]:
    return [path.read_bytes() for path in sorted((ROOT / "configs").glob("*.yaml"))]


TARGETS = (
    Target("m3u8", lambda: [_MEDIA, _SKIPPED, _INDEX], m3u8),
    Target("config", _configurations, settings),
    Target("fault_lines", lambda: [_FAULTS], fault_lines),
    Target(
        "cmcd",
        lambda: [
            b"CMCD=bl%3D4200%2Cbr%3D1800%2Cmtp%3D179500%2Cot%3Dav%2Csid%3D%22s-1%22%2Csu&x=1",
            b'bl=(4200;v 900;a),bs,mtp=(162600),sid="a\\"b",v=2,e=rr\nbs=?0,sta=p\n',
        ],
        client_data,
    ),
    Target("session_log", lambda: [_SESSIONS], session_log),
    Target("ledger", lambda: [_LEDGER, _OLD_LEDGER], ledger),
    Target("mirror", lambda: [_SET], mirrored),
    Target("archive_index", lambda: [_ARCHIVE], archive_index),
    Target(
        "range",
        lambda: [b"\0\4\0bytes=0-99", b"\0\4\0bytes=-5", b"\0\4\0bytes=7-"],
        byte_range,
    ),
)
