"""A note in memory that outlives a killed process: how far each numbering of a channel has come.

It is a page of a file on a tmpfs, written by plain stores. So it can be written before each
segment is listed without ever waiting for a disk, and a process that is killed leaves it behind.
It does not outlive the machine, and need not: `surgecast.media.ledger` is safe without it.
"""

import json
import mmap
import os
import zlib
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

_PAGE_BYTES = 4096
_SLOT_BYTES = _PAGE_BYTES // 2
_HEAD_BYTES = 16
"""Of a slot: how often the note was written, length and CRC-32 of the text, each little-endian."""


class Note:
    """The note of one state folder. Raises OSError where it cannot be kept.

    Two slots take turns: whoever is killed while writing one leaves the other whole.
    """

    def __init__(self, runtime_dir: Path, folder: Path) -> None:
        mark = sha256(str(folder.resolve()).encode()).hexdigest()[:20]
        self.path = runtime_dir / f"surgecast-{os.getuid()}-{mark}"
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        fd = os.open(self.path, flags, 0o600)
        try:
            found = os.fstat(fd)
            if found.st_uid != os.getuid():
                raise PermissionError(f"{self.path} belongs to somebody else")
            if found.st_size != _PAGE_BYTES:
                os.ftruncate(fd, 0)
                os.write(fd, bytes(_PAGE_BYTES))  # a page that is not there would be fatal later
            self._page = mmap.mmap(fd, _PAGE_BYTES)
        finally:
            os.close(fd)
        self._count = max(self._slot(0)[0], self._slot(1)[0])

    def read(self, life: str) -> Mapping[str, Any] | None:
        """What was noted last in that life; None if nothing was."""
        slots = sorted((self._slot(0), self._slot(1)), reverse=True, key=lambda slot: slot[0])
        for _, values in slots:
            if values.get("life") == life:
                return dict(values["numbers"])
        return None

    def write(self, life: str, numbers: Mapping[str, Any]) -> None:
        """Note `numbers`, anything JSON can say in 2,000 characters."""
        text = json.dumps({"life": life, "numbers": numbers}, separators=(",", ":")).encode()
        assert len(text) <= _SLOT_BYTES - _HEAD_BYTES, "a note fits its slot"
        self._count += 1
        start = (self._count % 2) * _SLOT_BYTES
        head = self._count.to_bytes(8, "little") + len(text).to_bytes(4, "little")
        head += zlib.crc32(text).to_bytes(4, "little")
        self._page[start : start + _HEAD_BYTES + len(text)] = head + text

    def remove(self) -> None:
        """Forget it: the disk knows better."""
        self._page.close()
        self.path.unlink(missing_ok=True)

    def close(self) -> None:
        self._page.close()

    def _slot(self, index: int) -> tuple[int, dict[str, Any]]:
        """How often the note had been written, and what it says; `(0, {})` if it is not whole."""
        slot = self._page[index * _SLOT_BYTES :][:_SLOT_BYTES]
        count, size, crc = (
            int.from_bytes(slot[start:end], "little") for start, end in ((0, 8), (8, 12), (12, 16))
        )
        text = slot[_HEAD_BYTES : _HEAD_BYTES + size]
        if len(text) != size or not size or zlib.crc32(text) != crc:
            return 0, {}
        return count, dict(json.loads(text))
