import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from surgecast.delivery.sessions import log_thread as session_log_thread
from surgecast.delivery.sessions.histories import Creation, Record
from surgecast.delivery.sessions.log import FileSessionLog
from surgecast.delivery.sessions.log_thread import ThreadSessionLog
from surgecast.errors import LocalError

RECORDS = [Creation(name, "720p", "480p", tags_gone=0) for name in "abc"]


class StuckFile(FileSessionLog):
    """Every write waits until it is let go, then is refused if so wished."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.go = threading.Event()
        self.full = False

    def append(self, records: Sequence[Record]) -> None:
        self.go.wait(30)
        if self.full:
            raise LocalError("No space left on device")
        super().append(records)


def test_what_is_handed_over_is_on_disk_in_order_at_the_end(tmp_path: Path) -> None:
    log = ThreadSessionLog(FileSessionLog(tmp_path))
    for record in RECORDS:
        log.append([record])
    log.rewrite(RECORDS[1:])
    log.append(RECORDS[:1])
    log.close()
    again = FileSessionLog(tmp_path)
    assert again.load() == [*RECORDS[1:], RECORDS[0]]
    again.close()


def test_nobody_waits_for_a_disk_that_blocks_and_what_waits_is_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_log_thread, "_WAITING_MAX", 5)
    file = StuckFile(tmp_path)
    log = ThreadSessionLog(file)
    for _ in range(5):
        log.append(RECORDS)
    with pytest.raises(LocalError, match="wait for the disk"):
        log.append(RECORDS)
    file.go.set()
    log.close()
    again = FileSessionLog(tmp_path)
    assert len(again.load()) == 15
    again.close()


def test_a_full_disk_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = StuckFile(tmp_path)
    file.full = True
    file.go.set()
    log = ThreadSessionLog(file)
    for _ in range(3):
        log.append(RECORDS)
    log.close()
    told = [r for r in caplog.records if "not remembered" in r.message]
    assert len(told) == 1
