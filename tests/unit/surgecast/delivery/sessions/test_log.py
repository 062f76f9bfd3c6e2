from collections.abc import Sequence
from pathlib import Path

import pytest

from surgecast.clock import ManualClock
from surgecast.delivery.channels import Directory, Stage
from surgecast.delivery.sessions.histories import Change, Creation, Switch
from surgecast.delivery.sessions.log import FileSessionLog
from surgecast.delivery.sessions.remembering import Memory
from surgecast.delivery.settings import AdaptationSettings, SessionSettings
from surgecast.errors import ConfigError, LocalError
from surgecast.media.segment import SegmentSet
from surgecast.media.window import Window
from tests.support.shows import segment_set, session_url, window

RECORDS = [
    Creation("a", "720p", "480p", tags_gone=2),
    Switch("a", "360p", Change(7, "360p", tagged=True)),
]


def test_records_come_back(tmp_path: Path) -> None:
    log = FileSessionLog(tmp_path)
    log.append(RECORDS)
    log.close()
    again = FileSessionLog(tmp_path)
    assert again.load() == RECORDS
    again.rewrite(RECORDS[:1])
    again.close()
    last = FileSessionLog(tmp_path)
    assert last.load() == RECORDS[:1]
    last.close()


INFINITE = b'{"session": "b", "requested": "top", "rung": "low", "tags_gone": Infinity}\n'


@pytest.mark.parametrize(
    "damage",
    [
        b'{"session": "b", "requ',
        *[b"\xff\n", b"[]\n", b"{}\n"],
        *[INFINITE, b"[" * 100_000 + b"\n"],
    ],
    ids=["cut", "bytes", "list", "empty", "infinite", "deep"],
)
def test_a_damaged_line_is_passed_over(tmp_path: Path, damage: bytes) -> None:
    log = FileSessionLog(tmp_path)
    log.append(RECORDS[:1])
    log.close()
    with (tmp_path / "sessions.jsonl").open("ab") as file:
        file.write(damage)
    log = FileSessionLog(tmp_path)
    log.append(RECORDS[1:])
    log.close()
    log = FileSessionLog(tmp_path)
    assert log.load() == RECORDS
    log.close()


def test_many_damaged_lines_are_one_line_of_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "sessions.jsonl").write_bytes(b"nonsense\n" * 1000)
    FileSessionLog(tmp_path).close()
    assert [record.message for record in caplog.records] == ["unreadable lines in session log"]


def test_a_log_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "sessions.jsonl").mkdir()
    with pytest.raises(ConfigError, match="cannot be used"):
        FileSessionLog(tmp_path)
    log = FileSessionLog(tmp_path / "other")
    log.close()
    with pytest.raises(LocalError):
        log.append(RECORDS)


def staged(folder: Path, shown: Window) -> tuple[Directory, Stage]:
    log = FileSessionLog(folder)
    directory = Directory(ManualClock())
    memory = Memory(session_log=log, sessions=log.load())
    stage = directory.add(
        "demo",
        shown,
        sessions=SessionSettings(),
        adaptation=AdaptationSettings(),
        memory=memory,
    )
    return directory, stage


def test_a_viewer_goes_on_after_a_restart(tmp_path: Path) -> None:
    first = window()
    directory, stage = staged(tmp_path, first)
    for msn in range(6):
        stage.publish(segment_set(msn))
    url = session_url(stage.create_session("a"))
    stage.sessions.set_rung("a", "360p")
    stage.publish(segment_set(6))
    before = stage.sessions.playlist("a")
    directory.remove("demo")
    second = window()
    for segments in first.kept:
        second.publish(segments)
    directory, stage = staged(tmp_path, second)
    after = stage.sessions.playlist("a")
    assert before is not None and after is not None and after.body == before.body
    assert isinstance(directory.find_session(f"/live/demo/{url}"), tuple)
    directory.remove("demo")


def test_live_goes_on_when_switches_cannot_be_remembered(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    log = FileSessionLog(tmp_path)
    directory = Directory(ManualClock())
    stage = directory.add(
        "demo",
        window(),
        sessions=SessionSettings(),
        adaptation=AdaptationSettings(),
        memory=Memory(session_log=log),
    )
    for msn in range(6):
        stage.publish(segment_set(msn))
    stage.create_session("a")
    log.close()
    stage.sessions.set_rung("a", "360p")
    stage.publish(segment_set(6))
    assert stage.window.next_msn == 7 and "not remembered" in caplog.text


class Refusing:
    """A journal whose disk is full for one set."""

    def __init__(self, msn: int) -> None:
        self.msn = msn

    def advance(self, segments: SegmentSet, discontinuity_number: int) -> None:
        if segments.msn == self.msn:
            self.msn = -1
            raise LocalError("no space left on device")

    def mirror(
        self, segments: SegmentSet, discontinuity_number: int, gone: Sequence[SegmentSet]
    ) -> None: ...


def test_a_set_the_journal_refuses_decides_nothing_for_sessions() -> None:
    directory = Directory(ManualClock())
    stage = directory.add(
        "demo",
        window(),
        sessions=SessionSettings(),
        adaptation=AdaptationSettings(),
        memory=Memory(journal=Refusing(6)),
    )
    for msn in range(6):
        stage.publish(segment_set(msn))
    stage.create_session("a")
    stage.sessions.set_rung("a", "360p")
    with pytest.raises(LocalError):
        stage.publish(segment_set(6))
    assert stage.window.next_msn == 6
    stage.publish(segment_set(6, discontinuity=True, epoch="e1"))
    for msn in range(7, 20):
        stage.publish(segment_set(msn))
    asset = stage.sessions.playlist("a")
    assert asset is not None
    assert b"#EXT-X-DISCONTINUITY-SEQUENCE:1\n" in asset.body, "one tag was shown, one is counted"
