"""What any viewer sees of a window keeps the rules, whatever is published."""

from hypothesis import given
from hypothesis import strategies as st

from surgecast.media.window import Window
from tests.support.shows import RUNGS, segment_set, window


class Viewer:
    """Reloads a playlist and checks each version against all it saw before."""

    def __init__(self) -> None:
        self.lines: dict[int, str] = {}
        self.numbers: dict[int, int] = {}
        self.first_msn = self.sequence = 0

    def see(self, text: str) -> list[str]:
        """URIs, oldest first; asserts R1, R2, R4, R5, R6 and R7."""
        head, *rest = text.split("#EXTINF")[0].splitlines(), text
        values = dict(line.split(":", 1) for line in head if ":" in line)
        first_msn = int(values["#EXT-X-MEDIA-SEQUENCE"])
        sequence = int(values["#EXT-X-DISCONTINUITY-SEQUENCE"])
        assert first_msn >= self.first_msn and sequence >= self.sequence
        assert values["#EXT-X-TARGETDURATION"] == "2"
        self.first_msn, self.sequence = first_msn, sequence
        uris = self._segments(rest[0], first_msn, sequence)
        assert max(self.lines) == first_msn + len(uris) - 1
        return uris

    def _segments(self, text: str, msn: int, number: int) -> list[str]:
        uris = []
        for line in text.splitlines():
            if line == "#EXT-X-DISCONTINUITY":
                number += 1
            elif line.startswith("#EXTINF:"):
                assert int(float(line[8:-1]) + 0.5) <= 2
            elif not line.startswith("#"):
                assert self.lines.setdefault(msn, line) == line
                assert self.numbers.setdefault(msn, number) == number
                uris.append(line)
                msn += 1
        return uris


@given(
    st.lists(st.tuples(st.booleans(), st.booleans(), st.floats(1.9, 2.1)), max_size=40),
    st.integers(0, 1000),
    st.integers(0, 50),
    st.integers(6, 9),
)
def test_rules_hold(
    sets: list[tuple[bool, bool, float]], next_msn: int, sequence: int, listed: int
) -> None:
    shown = window(next_msn, sequence, listed)
    viewers = {rung: Viewer() for rung in RUNGS}
    left_at: dict[str, int] = {}
    for discontinuity, slate, duration_s in sets:
        shown.publish(
            segment_set(
                shown.next_msn, discontinuity=discontinuity, slate=slate, duration_s=duration_s
            )
        )
        assert len(shown.listed) == min(shown.next_msn - next_msn, listed)
        for rung, viewer in viewers.items():
            playlist = shown.playlist(rung)
            assert (playlist is not None) == (shown.next_msn - next_msn >= 3)
            if playlist is None:
                continue
            for uri in viewer.see(playlist.body.decode()):
                left_at[f"{rung}/{uri}"] = shown.next_msn
        _kept_long_enough(shown, left_at, listed)


def _kept_long_enough(shown: Window, left_at: dict[str, int], listed: int) -> None:
    """R23: a listed object is there, and one playlist and one segment longer."""
    kept = {f"{rung}/{s.epoch}-{s.msn}.ts" for s in shown.kept for rung in RUNGS}
    due = {uri for uri, msn in left_at.items() if shown.next_msn - msn <= listed + 1}
    assert due <= kept and len(shown.kept) <= shown.kept_max
