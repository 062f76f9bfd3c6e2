"""FLV tags made from RTMP messages (Adobe Flash Video File Format 10.1, annex E).

An RTMP audio, video or data message body is an FLV tag body, so nothing is parsed beyond the few
bits that tell configuration, key frames and metadata apart. Enhanced RTMP (fourcc) bodies pass
through untouched.
"""

import struct
from dataclasses import dataclass
from typing import Literal

from segmenter.ingest import amf
from surgecast.errors import RemoteError

FLV_TICKS_PER_S = 1000
FLV_TICKS_WRAP = 1 << 32
AUDIO, VIDEO, SCRIPT = 8, 9, 18
CONFIGS_MAX = 16
"""Codec configurations kept for a restart: one a track."""

Kind = Literal["header", "metadata", "config", "media"]

_EXTENDED = 0x80  # Enhanced RTMP v1: a fourcc follows instead of a codec id
_MULTITRACK = {VIDEO: 6, AUDIO: 5}  # Enhanced RTMP v2: VideoPacketType, AudioPacketType


@dataclass(frozen=True, slots=True)
class FlvData:
    """Bytes of an FLV stream: its header or one whole tag.

    `key` is true where a decoder that has the prelude may start: a video key frame, or any audio
    of a stream that has had no video yet.
    """

    data: bytes
    kind: Kind
    key: bool = False

    @property
    def timestamp_ms(self) -> int:
        """Of a tag (E.4.1): three bytes, and one more above them."""
        return self.data[7] << 24 | int.from_bytes(self.data[4:7], "big")


def file_header(audio: bool, video: bool) -> bytes:
    """The nine bytes of E.2 and the first (zero) PreviousTagSize."""
    flags = (4 if audio else 0) | (1 if video else 0)
    return b"FLV\x01" + bytes([flags]) + struct.pack(">II", 9, 0)


def tag(kind: int, timestamp_ms: int, body: bytes) -> bytes:
    """One tag (E.4.1) and its PreviousTagSize; the timestamp is taken modulo 2**32."""
    stamp = timestamp_ms & 0xFFFFFFFF
    head = struct.pack(
        ">IHBBHB",
        kind << 24 | len(body),
        stamp >> 8 & 0xFFFF,
        stamp & 0xFF,
        stamp >> 24,
        0,
        0,
    )
    return b"".join((head, body, struct.pack(">I", 11 + len(body))))


def is_config(kind: int, body: bytes) -> bool:
    """Whether a tag body carries a decoder configuration rather than media."""
    if len(body) < 2:
        return False
    first = body[0]
    if (kind == VIDEO and first & _EXTENDED) or (kind == AUDIO and first >> 4 == 9):
        packet_type = first & 0x0F
        return (body[1] & 0x0F if packet_type == _MULTITRACK[kind] else packet_type) == 0
    coded_as = first & 0x0F if kind == VIDEO else first >> 4
    with_configuration = (7, 12) if kind == VIDEO else (10,)  # AVC, HEVC in use; AAC
    return coded_as in with_configuration and body[1] == 0


def is_key_frame(body: bytes) -> bool:
    """Whether a video tag body starts with a frame that can be decoded on its own."""
    return bool(body) and body[0] >> 4 & 0x07 == 1 and not is_config(VIDEO, body)


class FlvPrelude:
    """What a decoder needs before it can join: header, metadata, codec configurations."""

    def __init__(self) -> None:
        self._header = b""
        self._metadata = b""
        self._configs: dict[bytes, bytes] = {}

    def note(self, item: FlvData) -> None:
        """Remember `item` where it is part of the prelude; the newest of a track wins."""
        if item.kind == "header":
            self._header = item.data
        elif item.kind == "metadata":
            self._metadata = item.data
        elif item.kind == "config":
            self._configs[_track(item.data)] = item.data
            if len(self._configs) > CONFIGS_MAX:
                raise RemoteError(f"FLV: more than {CONFIGS_MAX} codec configurations")

    def render(self) -> bytes:
        """The bytes to send ahead of a key frame; empty before the stream has begun."""
        return b"".join((self._header, self._metadata, *self._configs.values()))


def _track(data: bytes) -> bytes:
    """What tells one track's configuration from another's: tag type, and a multitrack's head."""
    kind, body = data[0], data[11:18]
    extended = body[0] & _EXTENDED if kind == VIDEO else body[0] >> 4 == 9
    if extended and body[0] & 0x0F == _MULTITRACK[kind]:
        return data[:1] + body
    return data[:1]


class FlvWriter:
    """Turns message bodies into `FlvData`, the header before the first of them."""

    def __init__(self) -> None:
        self.prelude = FlvPrelude()
        self._started = False
        self._video_seen = False

    def media(self, kind: int, timestamp_ms: int, body: bytes) -> list[FlvData]:
        """The tag of one audio or video message; an empty body says nothing and is left out."""
        if not body:
            return []
        config = is_config(kind, body)
        self._video_seen = self._video_seen or kind == VIDEO
        key = is_key_frame(body) if kind == VIDEO else not (config or self._video_seen)
        item = FlvData(tag(kind, timestamp_ms, body), "config" if config else "media", key)
        return self._emit(item, audio=True, video=True)

    def script(self, timestamp_ms: int, body: bytes) -> list[FlvData]:
        """The tag of an `onMetaData` message, with or without `@setDataFrame` before it.

        Other script data (cue points, captions) is left out: FFmpeg would open a stream for it.
        """
        name, end = amf.decode_first(body)
        if name == "@setDataFrame":
            body = body[end:]
            name, end = amf.decode_first(body)
        if name != "onMetaData":
            return []
        values = amf.decode(body)[1:]
        known = values[0] if values and isinstance(values[0], dict) else {}
        audio = "audiocodecid" in known
        video = "videocodecid" in known
        item = FlvData(tag(SCRIPT, timestamp_ms, body), "metadata")
        both = audio == video  # neither named: not known
        return self._emit(item, audio=audio or both, video=video or both)

    def _emit(self, item: FlvData, audio: bool, video: bool) -> list[FlvData]:
        items = [item]
        if not self._started:
            self._started = True
            items.insert(0, FlvData(file_header(audio, video), "header"))
        if item.kind != "media":
            for each in items:
                self.prelude.note(each)
        elif len(items) > 1:
            self.prelude.note(items[0])
        return items
