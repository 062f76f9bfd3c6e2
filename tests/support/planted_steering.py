"""Violations of content steering and between two origins, and the right stream they are put in."""

import json
from dataclasses import replace

from tests.support.faults import at_msn, body, fault, header, path, shifted, status, with_fields
from tests.support.show_model import BASE, CORS, Asked, At, Fault, Later, Reply
from tests.support.ts_show import TsShow

_MANIFEST = {
    "VERSION": 1,
    "TTL": 5,
    "RELOAD-URI": f"{BASE}manifest.json?again=1",
    "PATHWAY-PRIORITY": ["a", "b"],
}


class SteeredShow(TsShow):
    """Two pathways, `a` here and `b` below `b/`, with the same bytes, and a steering server."""

    entry = "steered.m3u8"

    def object(self, asked: Asked, now: float) -> Reply | Later | None:
        if asked.path == "steered.m3u8":
            return self.text(At(now, "", asked.path), _multivariant(), "max-age=1")
        if asked.path == "manifest.json":
            kind = {"content-type": "application/vnd.apple.steering-list"}
            headers = {**CORS, **kind, "cache-control": "no-store"}
            return Reply(200, headers, json.dumps(_MANIFEST).encode())
        return super().object(replace(asked, path=asked.path.removeprefix("b/")), now)


def _multivariant() -> str:
    lines = [
        "#EXTM3U",
        "#EXT-X-VERSION:6",
        "#EXT-X-INDEPENDENT-SEGMENTS",
        '#EXT-X-CONTENT-STEERING:SERVER-URI="manifest.json",PATHWAY-ID="a"',
    ]
    for pathway, prefix in (("a", ""), ("b", "b/")):
        for name, size, bps in (("180p", "320x176", 100_000), ("360p", "640x352", 400_000)):
            lines += [
                f"#EXT-X-STREAM-INF:BANDWIDTH={bps},AVERAGE-BANDWIDTH={bps},"
                f'CODECS="avc1.4d401f,mp4a.40.2",RESOLUTION={size},FRAME-RATE=23.438,'
                f'PATHWAY-ID="{pathway}",STABLE-VARIANT-ID="{name}"',
                f"{prefix}{name}/media.m3u8",
            ]
    return "\n".join([*lines, ""])


def _manifest(**changes: object) -> object:
    new = json.dumps({**_MANIFEST, **changes}).encode()
    return body(lambda _: new, path("manifest.json", "GET"))


def _said(old: str, new: str) -> object:
    return lambda at, text: text.replace(old, new) if at.path == "steered.m3u8" else text


def _quotes_refused(asked: Asked, answer: Reply | Later, now: float) -> Reply | Later:
    if isinstance(answer, Reply) and '"' not in asked.query.get("_HLS_pathway", '"'):
        return replace(answer, status=400)
    return answer


def _missing_refused(asked: Asked, answer: Reply | Later, now: float) -> Reply | Later:
    if (
        isinstance(answer, Reply)
        and asked.path == "manifest.json"
        and "_HLS_pathway" not in asked.query
    ):
        return replace(answer, status=400)
    return answer


def _one_variant_less(at: At, text: str) -> str:
    return text if at.path != "steered.m3u8" else "\n".join([*text.splitlines()[:-2], ""])


def _muted(data: bytes) -> bytes:
    """Sound of another kind in a segment; a playlist stays what it is."""
    return data.replace(b"\x01\x1f\xfc\x00", b"\x01\x1f\xfc\x01")


_STEER = path("manifest.json", "GET")
_TAG = '#EXT-X-CONTENT-STEERING:SERVER-URI="manifest.json",PATHWAY-ID="a"\n'

PLANTED: tuple[Fault, ...] = (
    fault("steering-version-2", "R51", reply=_manifest(VERSION=2)),
    fault("no-ttl", "R51", reply=_manifest(TTL=None)),
    fault("relative-reload-uri", "R51", reply=_manifest(**{"RELOAD-URI": "manifest.json?again=1"})),
    fault("no-pathway-priority", "R51", reply=_manifest(**{"PATHWAY-PRIORITY": []})),
    fault("manifest-is-no-json", "R51", reply=body(lambda _: b"<html>", _STEER)),
    fault("manifest-is-a-list", "R51", reply=body(lambda _: b"[]", _STEER)),
    fault("steering-server-fails", "R51 R53", reply=status(500, _STEER)),
    fault("two-steering-tags", "R51", text=_said(_TAG, 2 * _TAG)),
    fault("no-pathway-in-the-tag", "R51", text=_said(',PATHWAY-ID="a"\n', "\n")),
    fault("steering-with-429", "R52", reply=status(429, _STEER)),
    fault("pathway-without-quotes-refused", "R53", reply=_quotes_refused),
    fault("pathway-missing-refused", "R53", reply=_missing_refused),
    fault("a-pathway-with-less", "R54", text=_one_variant_less),
    fault("no-stable-variant-id", "R54", text=_said(',STABLE-VARIANT-ID="360p"', "")),
    fault("pathways-with-other-bits", "R54 R11", reply=body(_muted, path("b/"))),
    fault("wrong-mime-of-steering", "R28", reply=header("content-type", "text/plain", _STEER)),
    fault("steering-is-kept", "R30", reply=header("cache-control", "max-age=60", _STEER)),
)


TWINS: tuple[Fault, ...] = (
    fault("twin-with-other-names", "R57", playlist=at_msn(25, uri="8-25.ts")),
    fault("twin-with-other-dates", "R57", playlist=shifted(0.2)),
    fault("twin-with-other-discontinuities", "R57", playlist=with_fields(discontinuity_sequence=3)),
    fault(
        "twin-with-other-numbers",
        "R57 R14 R31",
        playlist=lambda at, p: replace(p, media_sequence=p.media_sequence + 100),
    ),
)
