import errno
import json
from pathlib import Path

import pytest

from surgecast.errors import ConfigError, LocalError
from surgecast.media.ledger import RESERVED_AHEAD, Ledger, Numbers
from surgecast.media.note import Note


def ledger(folder: Path) -> Ledger:
    return Ledger(folder, folder)


def test_a_killed_process_leaves_exact_numbers(tmp_path: Path) -> None:
    """R4, R5: numbers go on without a gap, though nothing was written since the start."""
    ledger(tmp_path).advance("ts", Numbers(8, 2, 1e9 + 16))
    again = ledger(tmp_path)
    assert again.exact and again.numbers() == Numbers(8, 2, 1e9 + 16)
    with pytest.raises(LocalError, match="used before"):
        again.advance("ts", Numbers(8, 2, 1e9 + 16))


def test_an_orderly_end_needs_no_note(tmp_path: Path) -> None:
    first = ledger(tmp_path)
    first.advance("ts", Numbers(8, 2, 5.0))
    first.close()
    assert not list(tmp_path.glob("surgecast-*")), "nothing is left in memory"
    again = ledger(tmp_path)
    assert again.exact and again.numbers() == Numbers(8, 2, 5.0)


def test_a_machine_that_went_down_skips_to_the_end_of_the_reservation(tmp_path: Path) -> None:
    """R4, R5: no number was used beyond, and no more discontinuities than numbers."""
    first = ledger(tmp_path)
    first.advance("ts", Numbers(8, 2, 5.0))
    first.save(first.record())
    first.advance("ts", Numbers(9, 3, 7.0))
    for note in tmp_path.glob("surgecast-*"):
        note.unlink()
    again = ledger(tmp_path)
    assert not again.exact
    assert again.numbers() == Numbers(8 + RESERVED_AHEAD, 2 + RESERVED_AHEAD, 5.0)
    again.advance("ts", Numbers(9 + RESERVED_AHEAD, 3 + RESERVED_AHEAD, 9.0))


def test_numbers_end_with_their_reservation(tmp_path: Path) -> None:
    first = ledger(tmp_path)
    first.advance("ts", Numbers(RESERVED_AHEAD, 0, 1.0))
    with pytest.raises(LocalError, match="reserved"):
        first.advance("ts", Numbers(RESERVED_AHEAD + 1, 0, 2.0))
    first.save(first.record())
    first.advance("ts", Numbers(RESERVED_AHEAD + 1, 0, 2.0))


def test_each_numbering_has_its_own_numbers(tmp_path: Path) -> None:
    first = ledger(tmp_path)
    first.advance("ll", Numbers(5, 1, 1.0))
    first.advance("dvr", Numbers(3, 0, 1.0))
    again = ledger(tmp_path)
    names = ("ts", "ll", "dvr")
    assert [again.numbers(name).next_msn for name in names] == [0, 5, 3]


def test_a_start_on_a_full_disk_uses_what_was_reserved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger(tmp_path).advance("ts", Numbers(8, 2, 5.0))
    full_disk(monkeypatch)
    again = ledger(tmp_path)
    again.advance("ts", Numbers(9, 2, 7.0))
    monkeypatch.undo()
    assert ledger(tmp_path).numbers() == Numbers(9, 2, 7.0), "known after another kill too"


def test_a_start_on_a_full_disk_without_a_reservation_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Numbers that a restart could not know of are not used; a full disk may pass, so no
    person is asked for."""
    first = ledger(tmp_path)
    first.close()
    full_disk(monkeypatch)
    for folder in (tmp_path, tmp_path / "new"):
        with pytest.raises(LocalError, match="No space left"):
            ledger(folder)


def full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, content: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", refuse)


def test_a_note_of_another_life_is_not_believed(tmp_path: Path) -> None:
    """A folder that was put back from a copy: what was used since is not known."""
    first = ledger(tmp_path)
    first.advance("ts", Numbers(8, 2, 5.0))
    first.save(first.record())
    copy = first.path.read_bytes()
    ledger(tmp_path).advance("ts", Numbers(500, 2, 900.0))
    first.path.write_bytes(copy)
    again = ledger(tmp_path)
    assert not again.exact and again.numbers().next_msn == 8 + RESERVED_AHEAD


@pytest.mark.parametrize("slot", [0, 1])
def test_a_note_torn_by_a_kill_leaves_the_one_before(tmp_path: Path, slot: int) -> None:
    note = Note(tmp_path, tmp_path)
    for number in range(1, 3 + slot):
        note.write("life", {"ts": number})
    newest = 1 + slot
    with note.path.open("r+b") as file:
        file.seek((newest + 1) % 2 * 2048 + 20)
        file.write(b"\xff")
    assert Note(tmp_path, tmp_path).read("life") == {"ts": newest}


def test_no_place_for_a_note_is_no_obstacle(tmp_path: Path) -> None:
    first = Ledger(tmp_path, tmp_path / "missing")
    first.advance("ts", Numbers(1, 0, 1.0))
    assert Ledger(tmp_path, tmp_path / "missing").numbers().next_msn == RESERVED_AHEAD


def test_a_decision_is_kept(tmp_path: Path) -> None:
    first = ledger(tmp_path)
    first.decide({"ladder": ["720p"]})
    first.save(first.record())
    assert ledger(tmp_path).decided == {"ladder": ["720p"]}


def test_a_ledger_of_the_first_version_is_read(tmp_path: Path) -> None:
    values = {"next_msn": 7, "discontinuity_number": 1, "end_utc": 2.0, "decided": {"a": 1}}
    (tmp_path / "ledger.json").write_text(json.dumps({"version": 1, **values}))
    found = ledger(tmp_path)
    assert found.exact and found.numbers() == Numbers(7, 1, 2.0) and found.decided == {"a": 1}


@pytest.mark.parametrize(
    "content", ["", "{}", "[]", '{"version": 9}', '{"version": 1, "next_msn": -1}']
)
def test_a_damaged_ledger_is_an_error_that_says_what_to_do(tmp_path: Path, content: str) -> None:
    (tmp_path / "ledger.json").write_text(content)
    with pytest.raises(ConfigError, match="numbers could repeat"):
        ledger(tmp_path)


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be made"):
        ledger(tmp_path / "file" / "state")
