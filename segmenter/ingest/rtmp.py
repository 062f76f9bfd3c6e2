"""The publishing half of an RTMP server as a state machine (RTMP 1.0).

Sans-IO: bytes in, events out, bytes to send. FFmpeg's own RTMP listener takes any application and
stream name; here `authorize` is asked at `publish`, and until it has agreed no media is looked at
and messages are kept small. Playing is not offered.

    await_c0c1 -> await_c2 -> connecting -> publishing -> closed
"""

import os
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from segmenter.ingest import amf
from segmenter.ingest.flv import AUDIO, SCRIPT, VIDEO, FlvData, FlvWriter
from segmenter.ingest.rtmp_chunks import (
    MESSAGE_BYTES_MAX,
    ChunkReader,
    Message,
    encode_message,
)
from surgecast.errors import RemoteError

HANDSHAKE_BYTES = 1536
COMMAND_BYTES_MAX = 64 * 1024
"""Largest message of a peer that has not shown a key yet."""
NAME_CHARS_MAX = 512
NET_STREAMS_MAX = 16
SEND_BYTES_MAX = 256 * 1024
"""Answers that may wait; a peer that asks for more without reading is cut off."""

_CHUNK_SIZE_OUT = 4096
_WINDOW_BYTES = 2_500_000
_SET_CHUNK_SIZE, _ABORT, _ACK, _USER_CONTROL, _WINDOW_ACK, _PEER_BANDWIDTH = 1, 2, 3, 4, 5, 6
_DATA_AMF3, _COMMAND_AMF3, _COMMAND, _AGGREGATE = 15, 17, 20, 22
_PING_REQUEST, _PING_RESPONSE = 6, 7
_CONTROL_CHUNKS, _COMMAND_CHUNKS = 2, 3

Authorize = Callable[[str, str], str | None]
"""(app, stream name as sent) -> None when it may publish, else the reason why not."""

_State = Literal["await_c0c1", "await_c2", "connecting", "publishing", "closed"]


@dataclass(frozen=True, slots=True)
class Published:
    """The key was right; media follows."""

    app: str
    name: str


@dataclass(frozen=True, slots=True)
class Refused:
    """The peer may not do what it asked for; send what `to_send` holds, then close."""

    reason: str


@dataclass(frozen=True, slots=True)
class Ended:
    """The publisher said that it is done."""


Event = Published | FlvData | Refused | Ended


class RtmpConnection:
    """One peer. Call `receive`, send `to_send()`, close the socket once `closed` is true."""

    def __init__(self, authorize: Authorize, nonce: bytes | None = None) -> None:
        self._authorize = authorize
        self._nonce = os.urandom(HANDSHAKE_BYTES - 8) if nonce is None else nonce
        self._state: _State = "await_c0c1"
        self._handshake = bytearray()
        self._chunks = ChunkReader(COMMAND_BYTES_MAX)
        self._out = bytearray()
        self._flv = FlvWriter()
        self._app: str | None = None
        self._net_streams = 0
        self._publishing_on = 0
        self._received_bytes = 0
        self._acked_bytes = 0
        self._window_bytes = _WINDOW_BYTES

    @property
    def closed(self) -> bool:
        """Nothing more is read; what is left to send should be sent."""
        return self._state == "closed"

    @property
    def held_bytes(self) -> int:
        """Bytes of the peer kept in memory, for the bound's test."""
        return len(self._handshake) + self._chunks.held_bytes + len(self._out)

    def to_send(self) -> bytes:
        """Bytes for the peer; handed out once."""
        data = bytes(self._out)
        self._out.clear()
        return data

    def codec_prelude(self) -> bytes:
        """FLV header, metadata and codec configurations so far, for a consumer that joins late.

        Follow it with tags from the next one whose `key` is true.
        """
        return self._flv.prelude.render()

    def receive(self, data: bytes) -> list[Event]:
        """Take bytes as they came. Raises RemoteError when the peer breaks a rule or a bound."""
        if self.closed or not data:
            return []
        try:
            if self._state in ("await_c0c1", "await_c2"):
                data = self._shake_hands(data)
            return self._read_messages(data) if data else []
        except RemoteError:
            self._state = "closed"
            raise

    # --- handshake (5.2) ---

    def _shake_hands(self, data: bytes) -> bytes:
        """Plain handshake; returns the bytes behind it (none until it is done)."""
        self._handshake += data
        if self._handshake[0] != 3 and self._state == "await_c0c1":
            raise RemoteError(f"RTMP: version {self._handshake[0]}; only plain RTMP (3) is spoken")
        if self._state == "await_c0c1" and len(self._handshake) > HANDSHAKE_BYTES:
            c1 = bytes(self._handshake[1 : 1 + HANDSHAKE_BYTES])
            # A zero version field in S1 tells the peer that no digest is to be expected.
            self._out += b"\x03" + bytes(8) + self._nonce + c1
            del self._handshake[: 1 + HANDSHAKE_BYTES]
            self._state = "await_c2"
        if self._state != "await_c2" or len(self._handshake) < HANDSHAKE_BYTES:
            return b""
        rest = bytes(self._handshake[HANDSHAKE_BYTES:])
        self._handshake.clear()
        self._received_bytes = 1 + 2 * HANDSHAKE_BYTES
        self._state = "connecting"
        return rest

    # --- messages ---

    def _read_messages(self, data: bytes) -> list[Event]:
        events: list[Event] = []
        self._received_bytes += len(data)
        self._chunks.feed(data)
        while not self.closed and (message := self._chunks.next_message()) is not None:
            events += self._on_message(message)
            if len(self._out) > SEND_BYTES_MAX:
                raise RemoteError("RTMP: the peer asks more than it reads answers")
        if self._received_bytes - self._acked_bytes >= self._window_bytes:
            self._acked_bytes = self._received_bytes
            self._control(_ACK, struct.pack(">I", self._acked_bytes & 0xFFFFFFFF))
        return events

    def _on_message(self, message: Message) -> list[Event]:
        kind, body = message.kind, message.body
        if kind in (AUDIO, VIDEO, SCRIPT, _DATA_AMF3, _AGGREGATE):
            return self._on_media(message)
        if kind in (_COMMAND, _COMMAND_AMF3):
            return self._on_command(message.stream_id, _without_amf3_marker(message))
        if kind == _SET_CHUNK_SIZE:
            self._chunks.set_chunk_size(_uint32(body) & 0x7FFFFFFF)
        elif kind == _ABORT:
            self._chunks.abort(_uint32(body))
        elif kind == _WINDOW_ACK:
            self._window_bytes = max(1, _uint32(body))
        elif kind == _PEER_BANDWIDTH:
            self._control(_WINDOW_ACK, struct.pack(">I", _uint32(body)))
        elif kind == _USER_CONTROL and body[:2] == struct.pack(">H", _PING_REQUEST):
            self._control(_USER_CONTROL, struct.pack(">H", _PING_RESPONSE) + body[2:6])
        return []  # acknowledgements, shared objects and other events need no answer

    def _on_media(self, message: Message) -> list[Event]:
        if self._state != "publishing":
            return []  # whoever has shown no key yet is not listened to
        kind, stamp = message.kind, message.timestamp_ms
        if kind in (AUDIO, VIDEO):
            return list(self._flv.media(kind, stamp, message.body))
        if kind == _AGGREGATE:
            return self._on_aggregate(message)
        return list(self._flv.script(stamp, _without_amf3_marker(message)))

    def _on_aggregate(self, message: Message) -> list[Event]:
        """FLV tags in one message; its timestamp moves them all (7.1.6)."""
        body, position, offset = message.body, 0, None
        events: list[Event] = []
        while position < len(body):
            head = body[position : position + 11]
            size = int.from_bytes(head[1:4], "big")
            end = position + 11 + size
            if len(head) < 11 or end > len(body):
                raise RemoteError("RTMP: an aggregate message ends inside a tag")
            stamp = int.from_bytes(head[7:8] + head[4:7], "big")
            offset = message.timestamp_ms - stamp if offset is None else offset
            kind, piece = head[0] & 0x1F, body[position + 11 : end]
            if kind in (AUDIO, VIDEO):
                events += self._flv.media(kind, stamp + offset, piece)
            elif kind == SCRIPT:
                events += self._flv.script(stamp + offset, piece)
            position = end + 4
        return events

    # --- commands (7.2) ---

    def _on_command(self, stream_id: int, body: bytes) -> list[Event]:
        values = amf.decode(body)
        name, number = (*values, None, None)[:2]
        if not isinstance(name, str) or not isinstance(number, float | None):
            raise RemoteError("RTMP: a command without a name and a transaction number")
        number = number or 0.0
        arguments = values[2:]
        if name == "connect":
            return self._on_connect(number, arguments)
        if self._app is None:
            raise RemoteError(f"RTMP: {name[:40]!r} before connect")
        if name == "createStream":
            return self._on_create_stream(number)
        if name in ("publish", "play", "play2"):
            stream_name = arguments[1] if len(arguments) > 1 else ""
            return self._on_publish(name, stream_id, str(stream_name or ""))
        if name in ("FCUnpublish", "deleteStream", "closeStream"):
            return self._on_end()
        if number:
            # releaseStream, FCPublish and whatever else wants to hear that it was heard.
            self._command(0, "_result", number, None, None)
        return []

    def _on_connect(self, number: float, arguments: list[amf.AmfValue]) -> list[Event]:
        settings = arguments[0] if arguments and isinstance(arguments[0], dict) else {}
        app = settings.get("app")
        if self._app is not None or not isinstance(app, str) or len(app) > NAME_CHARS_MAX:
            raise RemoteError("RTMP: connect must come once and name an application")
        self._app = app.partition("?")[0].strip("/")
        self._control(_WINDOW_ACK, struct.pack(">I", _WINDOW_BYTES))
        self._control(_PEER_BANDWIDTH, struct.pack(">IB", _WINDOW_BYTES, 2))
        self._control(_SET_CHUNK_SIZE, struct.pack(">I", _CHUNK_SIZE_OUT))
        properties: amf.AmfValue = {"fmsVer": "FMS/3,0,1,123", "capabilities": 31.0}
        information = _status("status", "NetConnection.Connect.Success", "Connection succeeded.")
        information["objectEncoding"] = 0.0
        self._command(0, "_result", number, properties, information)
        return []

    def _on_create_stream(self, number: float) -> list[Event]:
        if self._net_streams >= NET_STREAMS_MAX:
            raise RemoteError(f"RTMP: more than {NET_STREAMS_MAX} streams created")
        self._net_streams += 1
        self._command(0, "_result", number, None, float(self._net_streams))
        return []

    def _on_publish(self, verb: str, stream_id: int, name: str) -> list[Event]:
        if self._state == "publishing":
            raise RemoteError(f"RTMP: {verb} on a connection that publishes already")
        if verb != "publish":
            return self._refuse(stream_id, "NetStream.Play.Failed", "playing is not offered here")
        if len(name) > NAME_CHARS_MAX:
            raise RemoteError(f"RTMP: a stream name longer than {NAME_CHARS_MAX} characters")
        reason = self._authorize(self._app or "", name)
        if reason is not None:
            return self._refuse(stream_id, "NetStream.Publish.BadName", reason)
        self._state = "publishing"
        self._publishing_on = stream_id
        self._chunks.message_bytes_max = MESSAGE_BYTES_MAX
        self._control(_USER_CONTROL, struct.pack(">HI", 0, stream_id))  # StreamBegin
        started = _status("status", "NetStream.Publish.Start", "Publishing.")
        self._command(stream_id, "onStatus", 0.0, None, started)
        return [Published(self._app or "", name)]

    def _refuse(self, stream_id: int, code: str, reason: str) -> list[Event]:
        self._command(stream_id, "onStatus", 0.0, None, _status("error", code, reason))
        self._state = "closed"
        return [Refused(reason)]

    def _on_end(self) -> list[Event]:
        if self._state != "publishing":
            return []
        status = _status("status", "NetStream.Unpublish.Success", "Stopped publishing.")
        self._command(self._publishing_on, "onStatus", 0.0, None, status)
        self._state = "closed"
        return [Ended()]

    # --- answers ---

    def _control(self, kind: int, body: bytes) -> None:
        self._out += encode_message(_CONTROL_CHUNKS, Message(kind, 0, 0, body), _CHUNK_SIZE_OUT)

    def _command(self, stream_id: int, *values: amf.AmfValue) -> None:
        message = Message(_COMMAND, stream_id, 0, amf.encode(*values))
        self._out += encode_message(_COMMAND_CHUNKS, message, _CHUNK_SIZE_OUT)


def _without_amf3_marker(message: Message) -> bytes:
    """AMF3-wrapped messages of a publisher hold AMF0 behind one zero byte."""
    wrapped = message.kind in (_DATA_AMF3, _COMMAND_AMF3)
    return message.body[1:] if wrapped and message.body[:1] == b"\0" else message.body


def _status(level: str, code: str, description: str) -> dict[str, amf.AmfValue]:
    return {"level": level, "code": code, "description": description}


def _uint32(body: bytes) -> int:
    if len(body) < 4:
        raise RemoteError("RTMP: a control message of fewer than 4 bytes")
    return int.from_bytes(body[:4], "big")
