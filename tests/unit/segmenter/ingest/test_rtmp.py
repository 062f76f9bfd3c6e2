"""An RTMP publisher played by hand: golden exchanges, refusals, what comes out as FLV."""

import struct

import pytest

from segmenter.ingest import amf
from segmenter.ingest.flv import FlvData
from segmenter.ingest.rtmp import Ended, Event, Published, Refused, RtmpConnection
from segmenter.ingest.rtmp_chunks import ChunkReader, Message, encode_message
from surgecast.errors import RemoteError

NONCE = bytes(1528)
C1 = bytes(8) + b"c" * 1528
METADATA: dict[str, amf.AmfValue] = {"width": 640.0, "videocodecid": 7.0, "audiocodecid": 10.0}
AVC_CONFIG = b"\x17\x00\0\0\0config"
AVC_KEY = b"\x17\x01\0\0\0key"
AVC_INTER = b"\x27\x01\0\0\0inter"
AAC_CONFIG = b"\xaf\x00\x12\x10"
AAC = b"\xaf\x01sound"


def only_key(app: str, name: str) -> str | None:
    return None if (app, name) == ("live", "secret") else "wrong stream key"


def command(*values: amf.AmfValue, stream_id: int = 0) -> bytes:
    return encode_message(3, Message(20, stream_id, 0, amf.encode(*values)))


def media(kind: int, body: bytes, stamp: int = 0) -> bytes:
    return encode_message(kind, Message(kind, 1, stamp, body))


def shaken() -> RtmpConnection:
    peer = RtmpConnection(only_key, NONCE)
    peer.receive(b"\x03" + C1 + bytes(1536))
    peer.to_send()
    return peer


def publish(peer: RtmpConnection, app: str = "live", name: str = "secret") -> list[Event]:
    return peer.receive(
        command("connect", 1.0, {"app": app})
        + command("releaseStream", 2.0, None, name)
        + command("FCPublish", 3.0, None, name)
        + command("createStream", 4.0, None)
        + command("publish", 5.0, None, name, "live", stream_id=1)
    )


def publishing() -> RtmpConnection:
    peer = shaken()
    assert publish(peer) == [Published("live", "secret")]
    peer.to_send()
    return peer


def answers(peer: RtmpConnection) -> list[Message]:
    reader = ChunkReader()
    reader.set_chunk_size(4096)
    reader.feed(peer.to_send())
    return list(iter(reader.next_message, None))


def flv(events: list[Event]) -> list[FlvData]:
    return [event for event in events if isinstance(event, FlvData)]


def test_handshake_golden() -> None:
    peer = RtmpConnection(only_key, NONCE)
    assert peer.receive(b"\x03" + C1[:-1]) == []
    assert peer.to_send() == b""
    peer.receive(C1[-1:])
    assert peer.to_send() == b"\x03" + bytes(8) + NONCE + C1
    assert peer.to_send() == b""


def test_encrypted_rtmp_is_refused() -> None:
    with pytest.raises(RemoteError, match="version 6"):
        RtmpConnection(only_key).receive(b"\x06")


def test_connect_golden() -> None:
    peer = shaken()
    peer.receive(command("connect", 1.0, {"app": "live"}))
    assert peer.to_send() == (
        bytes.fromhex("02 000000 000004 05 00000000 002625a0")
        + bytes.fromhex("02 000000 000005 06 00000000 002625a0 02")
        + bytes.fromhex("02 000000 000004 01 00000000 00001000")
        + bytes.fromhex("03 000000 0000be 14 00000000")
        + b"\x02\0\x07_result\0\x3f\xf0\0\0\0\0\0\0"
        + b"\x03\0\x06fmsVer\x02\0\x0dFMS/3,0,1,123"
        + b"\0\x0ccapabilities\0\x40\x3f\0\0\0\0\0\0\0\0\x09"
        + b"\x03\0\x05level\x02\0\x06status\0\x04code\x02\0\x1dNetConnection.Connect.Success"
        + b"\0\x0bdescription\x02\0\x15Connection succeeded."
        + b"\0\x0eobjectEncoding\0\0\0\0\0\0\0\0\0\0\0\x09"
    )


def test_the_answers_up_to_publishing() -> None:
    peer = shaken()
    assert publish(peer) == [Published("live", "secret")]
    commands = [amf.decode(m.body) for m in answers(peer) if m.kind == 20]
    assert [c[:2] for c in commands] == [
        ["_result", 1.0],
        ["_result", 2.0],
        ["_result", 3.0],
        ["_result", 4.0],
        ["onStatus", 0.0],
    ]
    assert commands[3][3] == 1.0
    assert commands[4][3] == {
        "level": "status",
        "code": "NetStream.Publish.Start",
        "description": "Publishing.",
    }


@pytest.mark.parametrize(("app", "name"), [("live", "guess"), ("other", "secret"), ("live", "")])
def test_wrong_app_or_key_is_told_and_ends(app: str, name: str) -> None:
    peer = shaken()
    assert publish(peer, app, name) == [Refused("wrong stream key")]
    last = amf.decode(answers(peer)[-1].body)
    assert last[0] == "onStatus"
    assert last[3] == {
        "level": "error",
        "code": "NetStream.Publish.BadName",
        "description": "wrong stream key",
    }
    assert peer.closed
    assert peer.receive(media(9, AVC_KEY)) == []


def test_application_is_compared_without_slash_and_query() -> None:
    assert publish(shaken(), "live/?token=1") == [Published("live", "secret")]


def test_amf3_wrapped_commands() -> None:
    peer = shaken()
    body = b"\0" + amf.encode("connect", 1.0, {"app": "live"})
    peer.receive(encode_message(3, Message(17, 0, 0, body)))
    assert amf.decode(answers(peer)[-1].body)[0] == "_result"


def test_playing_is_refused() -> None:
    peer = shaken()
    events = peer.receive(
        command("connect", 1.0, {"app": "live"}) + command("play", 0.0, None, "secret", stream_id=1)
    )
    assert events == [Refused("playing is not offered here")]


def test_media_before_the_key_is_not_used() -> None:
    peer = shaken()
    assert peer.receive(media(9, AVC_KEY) + media(18, amf.encode("onMetaData", METADATA))) == []
    assert peer.codec_prelude() == b""


def test_flv_golden() -> None:
    peer = publishing()
    body = amf.encode("onMetaData", METADATA)
    events = flv(
        peer.receive(
            media(18, amf.encode("@setDataFrame") + body)
            + media(9, AVC_CONFIG)
            + media(9, AVC_KEY, 0x01020304)
        )
    )
    assert events == [
        FlvData(b"FLV\x01\x05\0\0\0\x09\0\0\0\0", "header"),
        FlvData(
            b"\x12"
            + len(body).to_bytes(3, "big")
            + bytes(7)
            + body
            + struct.pack(">I", 11 + len(body)),
            "metadata",
        ),
        FlvData(b"\x09\0\0\x0b" + bytes(7) + AVC_CONFIG + b"\0\0\0\x16", "config"),
        FlvData(b"\x09\0\0\x08\x02\x03\x04\x01\0\0\0" + AVC_KEY + b"\0\0\0\x13", "media", True),
    ]
    assert peer.codec_prelude() == b"".join(event.data for event in events[:3])


@pytest.mark.parametrize(
    ("known", "flags"),
    [({"videocodecid": 7.0}, 1), ({"audiocodecid": 10.0}, 4), (METADATA, 5), ({}, 5)],
)
def test_header_flags_follow_the_metadata(known: dict[str, amf.AmfValue], flags: int) -> None:
    events = flv(publishing().receive(media(18, amf.encode("onMetaData", known))))
    assert events[0].data[4] == flags


def test_prelude_keeps_the_newest_of_each_track() -> None:
    peer = publishing()
    sent = [(9, AVC_CONFIG), (8, AAC_CONFIG), (9, AVC_KEY), (8, AAC), (9, AVC_CONFIG + b"2")]
    events = flv(peer.receive(b"".join(media(kind, body) for kind, body in sent)))
    assert [(e.kind, e.key) for e in events] == [
        ("header", False),
        ("config", False),
        ("config", False),
        ("media", True),
        ("media", False),
        ("config", False),
    ]
    assert peer.codec_prelude() == events[0].data + events[5].data + events[2].data


def test_sound_alone_may_start_anywhere() -> None:
    events = flv(publishing().receive(media(8, AAC_CONFIG) + media(8, AAC)))
    assert [e.key for e in events] == [False, False, True]


@pytest.mark.parametrize(
    ("body", "kind", "key"),
    [
        (b"\x90hvc1config", "config", False),
        (b"\x93hvc1key", "media", True),
        (b"\xa1hvc1inter", "media", False),
        (b"\x96\x00hvc1\x01config", "config", False),
        (b"\x12oldkey", "media", True),
    ],
)
def test_enhanced_rtmp_passes_untouched(body: bytes, kind: str, key: bool) -> None:
    last = flv(publishing().receive(media(9, body)))[-1]
    assert (last.kind, last.key) == (kind, key)
    assert last.data[11:-4] == body


def test_aggregate_message_moves_its_tags() -> None:
    tags = b"".join(
        bytes([kind])
        + len(body).to_bytes(3, "big")
        + stamp.to_bytes(3, "big")
        + bytes(4)
        + body
        + bytes(4)
        for kind, body, stamp in [(9, AVC_KEY, 100), (8, AAC, 105), (9, AVC_INTER, 140)]
    )
    events = flv(publishing().receive(media(22, tags, 1000)))[1:]
    assert [int.from_bytes(e.data[4:7], "big") for e in events] == [1000, 1005, 1040]
    with pytest.raises(RemoteError, match="inside a tag"):
        publishing().receive(media(22, tags[:-20], 1000))


@pytest.mark.parametrize("name", ["FCUnpublish", "deleteStream", "closeStream"])
def test_the_publisher_ends(name: str) -> None:
    peer = publishing()
    assert peer.receive(command(name, 0.0, None, 1.0)) == [Ended()]
    assert peer.closed


def test_ping_is_answered() -> None:
    peer = publishing()
    peer.receive(encode_message(2, Message(4, 0, 0, b"\0\x06abcd")))
    assert answers(peer) == [Message(4, 0, 0, b"\0\x07abcd")]


def test_bytes_are_acknowledged_by_window() -> None:
    peer = publishing()
    peer.receive(encode_message(2, Message(5, 0, 0, struct.pack(">I", 100_000))))
    peer.to_send()
    peer.receive(media(9, AVC_KEY + bytes(100_000)))
    (ack,) = answers(peer)
    assert ack.kind == 3
    assert int.from_bytes(ack.body, "big") > 100_000


def test_set_chunk_size_of_the_peer() -> None:
    peer = publishing()
    peer.receive(encode_message(2, Message(1, 0, 0, struct.pack(">I", 60_000))))
    body = AVC_KEY + bytes(100_000)
    events = flv(peer.receive(encode_message(6, Message(9, 1, 0, body), 60_000)))
    assert events[-1].data[11:-4] == body


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (command("publish", 1.0, None, "secret"), "before connect"),
        (command("connect", 1.0, {}), "name an application"),
        (command(1.0, 1.0), "without a name"),
        (encode_message(2, Message(1, 0, 0, b"\0")), "fewer than 4 bytes"),
        (bytes.fromhex("03 000000 020000 14 00000000"), "at most 65536"),
        (command("connect", 1.0, {"app": "live"}) + command("createStream", 1.0) * 17, "more than"),
    ],
)
def test_broken_rules(data: bytes, text: str) -> None:
    peer = shaken()
    with pytest.raises(RemoteError, match=text):
        peer.receive(data)
    assert peer.closed


def test_a_peer_that_only_asks_is_cut_off() -> None:
    ping = encode_message(2, Message(4, 0, 0, b"\0\x06abcd"))
    with pytest.raises(RemoteError, match="asks more than it reads"):
        publishing().receive(ping * 20_000)
