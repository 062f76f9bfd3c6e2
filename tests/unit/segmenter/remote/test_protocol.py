"""What worker and origin say beside the media: settings on their way, ladders, what waits."""

from typing import Any

import pytest
from pydantic import ValidationError

from segmenter.remote.outbox import Outbox
from segmenter.remote.protocol import (
    Announcement,
    LeaseState,
    decided_of,
    ladder_message,
    ladder_of,
    misfit,
)
from segmenter.remote.spec import settings_of, spec_of
from segmenter.remote.wire import outgoing_set
from segmenter.settings import SegmentSettings
from surgecast.errors import RemoteError
from tests.support.cut_sets import DECIDED, LADDER, cut_sets

ITEM = outgoing_set(1, cut_sets(1)[0])


def settings(**changed: Any) -> SegmentSettings:
    return SegmentSettings.model_validate({"source": {"kind": "test"}, **changed})


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"source": {"kind": "rtmp", "key": "hidden-key"}},
        {"source": {"kind": "srt", "port": 9000, "passphrase": "hidden-passphrase"}},
        {"backup": {"source": {"kind": "udp", "port": 9001}, "loss_s": "off"}},
        {"ladder": {"rungs": [{"name": "low", "height": 180, "video_bps": "200k"}]}},
        {"low_latency": {"enabled": True}, "slate": {"text": "Back soon", "after_s": "2s"}},
    ],
)
def test_settings_come_to_the_worker_as_they_are(changed: dict[str, Any]) -> None:
    """Secrets too: the worker must listen with them."""
    assert settings_of(spec_of(settings(**changed))) == settings(**changed)


def test_a_path_means_the_same_file_wherever_the_worker_runs() -> None:
    spec = spec_of(settings(source={"kind": "file", "path": "show.mp4"}))
    assert spec["source"]["path"].startswith("/")


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({}, "source"),
        ({"source": {"kind": "tape"}}, "source"),
        ({"source": {"kind": "test"}, "dvr": {}}, "dvr"),
        ({"source": {"kind": "test"}, "segment_duration_s": "ever"}, "segment_duration_s"),
    ],
)
def test_a_spec_that_is_none_is_refused_in_words(spec: dict[str, Any], words: str) -> None:
    with pytest.raises(RemoteError, match=f"spec of the channel: {words}"):
        settings_of(spec)


def test_a_ladder_comes_out_as_it_went_in() -> None:
    assert ladder_of(ladder_message(LADDER)) == LADDER
    state = LeaseState(lease=1, decided=DECIDED.to_dict())
    assert decided_of(LeaseState.model_validate_json(state.model_dump_json())) == DECIDED


@pytest.mark.parametrize(
    "changed",
    [
        {"rungs": []},
        {"rungs": [{"name": "../up", "width": 2, "height": 2, "video_bps": 1, "max_bps": 1}]},
        {"frame_rate": "0"},
        {"frame_rate": "1000000/1"},
        {"segment_frames": 10**9},
        {"segment_frames": 1},
        {"level": "9.9"},
        {"kind": "round"},
        {"audio_bps": -1},
        {"rungs": ladder_message(LADDER).model_dump()["rungs"][::-1]},
        {"rungs": ladder_message(LADDER).model_dump()["rungs"][:1] * 2},
    ],
)
def test_a_ladder_that_no_channel_can_have_is_refused(changed: dict[str, Any]) -> None:
    values = {"ladder": ladder_message(LADDER).model_dump() | changed}
    with pytest.raises((RemoteError, ValidationError)):
        ladder_of(Announcement.model_validate(values).ladder)


def test_the_preset_is_the_encoders_own_business() -> None:
    faster = ladder_of(ladder_message(LADDER).model_copy(update={"preset": "ultrafast"}))
    assert misfit(LADDER, faster) is None
    louder = ladder_of(ladder_message(LADDER).model_copy(update={"audio_bps": 64_000}))
    assert misfit(LADDER, louder) == "ladder.audio_bps: 64000; the channel has 128000"


def test_the_oldest_goes_when_it_has_waited_for_too_long() -> None:
    box = Outbox(7, age_max_s=5.0, bytes_max=1 << 30)
    assert [box.put(ITEM, now) for now in (0.0, 2.0, 4.0)] == [0, 0, 0]
    assert box.put(ITEM, 6.0) == 1
    first = box.first()
    assert first is not None and first.sequence == 8, "what is dropped leaves a gap"
    assert (len(box), box.dropped) == (3, 1)


def test_the_oldest_goes_when_there_is_no_room() -> None:
    box = Outbox(0, age_max_s=5.0, bytes_max=2 * ITEM.size_bytes)
    for _ in range(5):
        box.put(ITEM, 0.0)
    assert (len(box), box.dropped, box.size_bytes) == (2, 3, 2 * ITEM.size_bytes)


def test_what_the_origin_has_waits_no_more() -> None:
    box = Outbox(0, age_max_s=5.0, bytes_max=1 << 30)
    for _ in range(3):
        box.put(ITEM, 0.0)
    box.taken(2)
    box.taken(1)
    first = box.first()
    assert first is not None and first.sequence == 2
    box.taken(9)
    assert box.first() is None and box.size_bytes == 0
