"""No number is used twice and none goes back, whatever the disk does and whenever it is killed."""

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from surgecast.media.ledger import Ledger, Numbers

STEPS = st.lists(
    st.sampled_from(["use", "use", "tag", "written", "end", "kill", "machine down"]), max_size=30
)


@settings(deadline=None, max_examples=150)
@given(STEPS)
def test_numbers_only_grow(steps: list[str]) -> None:
    """R4, R5. `written` is the disk taking a record; it takes none between, however long."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ledger = Ledger(folder, folder)
        shown = Numbers(0, 0)
        for step in steps:
            if step in ("use", "tag"):
                now = ledger.numbers()
                assert now.next_msn >= shown.next_msn, "this number was shown already"
                assert now.discontinuity_number >= shown.discontinuity_number
                tags = now.discontinuity_number + (step == "tag")
                shown = Numbers(now.next_msn + 1, tags)
                ledger.advance("ts", shown)
            elif step == "written":
                ledger.save(ledger.record())
            else:
                before = ledger.numbers()
                if step == "end":
                    ledger.close()
                if step == "machine down":
                    for note in folder.glob("surgecast-*"):
                        note.unlink()
                ledger = Ledger(folder, folder)
                if step != "machine down":
                    assert ledger.exact and ledger.numbers() == before
