"""What is wrong with a source's picture and sound, read from what the filters print (pure).

The filters of `segmenter.detection` print, for each look they take, its media time and what they
found: `frame:12 pts:60 pts_time:2.4`, then `key=value` lines. `FaultWatch` turns that into faults
that have begun and not ended. Lines that are not understood are passed over: FFmpeg's libraries
may print among them.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Fault = Literal["frozen", "black", "silence"]
FAULTS: tuple[Fault, ...] = ("black", "frozen", "silence")
"""What says most first: a black picture stands still too."""

_LINE_CHARS_MAX = 400
_FRAME = re.compile(r"frame:\d+ +pts:\S+ +pts_time:(\S+)$")
_BEGINS: Mapping[str, Fault] = {
    "lavfi.freezedetect.freeze_start": "frozen",
    "lavfi.black_start": "black",
    "lavfi.silence_start": "silence",
}
_ENDS: Mapping[str, Fault] = {
    "lavfi.freezedetect.freeze_end": "frozen",
    "lavfi.black_end": "black",
    "lavfi.silence_end": "silence",
}
_NO_SOUND_S = 1.0
"""Sound that is this much behind the picture has stopped: silence, though no filter sees it."""


@dataclass(frozen=True, slots=True)
class FaultChange:
    """A fault began or ended, at a media time of the encoder run."""

    fault: Fault
    began: bool
    at_s: float


class FaultWatch:
    """The faults of one run of FFmpeg over one source; `feed` it line by line."""

    def __init__(self) -> None:
        self.pictures = 0
        """Looks at the picture so far."""
        self._frame_s: float | None = None
        self._picture_s: float | None = None
        self._sound_s: float | None = None
        self._since_s: dict[Fault, float] = {}

    def feed(self, line: str) -> FaultChange | None:
        """Take one line of output."""
        if len(line) > _LINE_CHARS_MAX:
            return None
        if (frame := _FRAME.match(line)) is not None:
            self._frame_s = _seconds(frame[1])
            return None
        key, _, value = line.partition("=")
        if key == "surgecast":
            self._heard(value)
            return None
        at_s = _seconds(value)
        return None if at_s is None else self._change(key, at_s)

    def lasting_s(self) -> dict[Fault, float]:
        """Each fault that has not ended: for how long, in media time."""
        lasting = {
            fault: max(0.0, self._now_s(fault) - since) for fault, since in self._since_s.items()
        }
        if (missing_s := self._sound_missing_s()) >= _NO_SOUND_S:
            lasting["silence"] = max(missing_s, lasting.get("silence", 0.0))
        return lasting

    def _heard(self, what: str) -> None:
        if self._frame_s is None:
            return
        if what == "picture":
            self.pictures += 1
            self._picture_s = self._frame_s
            if self._sound_s is None:
                self._sound_s = self._frame_s  # from here on it is missing
        elif what == "sound":
            self._sound_s = self._frame_s

    def _change(self, key: str, at_s: float) -> FaultChange | None:
        if (fault := _BEGINS.get(key)) is not None and fault not in self._since_s:
            self._since_s[fault] = at_s
            return FaultChange(fault, True, at_s)
        if (fault := _ENDS.get(key)) is not None and self._since_s.pop(fault, None) is not None:
            return FaultChange(fault, False, at_s)
        return None

    def _now_s(self, fault: Fault) -> float:
        """How far the picture has come, or for silence the sound."""
        now_s = self._sound_s if fault == "silence" else self._picture_s
        return 0.0 if now_s is None else now_s

    def _sound_missing_s(self) -> float:
        if self._picture_s is None or self._sound_s is None:
            return 0.0
        since = min(self._sound_s, self._since_s.get("silence", self._sound_s))
        return self._picture_s - since if self._picture_s - self._sound_s >= _NO_SOUND_S else 0.0


def _seconds(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
