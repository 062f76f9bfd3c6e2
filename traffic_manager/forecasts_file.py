"""Keeps on disk what forecasters learned, in one file that is never half written.

What one region learned is put together on the event loop, one region at a time, so that nothing
waits long; it becomes text and goes to the disk in a thread.
"""

import asyncio
import json
import os
from pathlib import Path
from typing import Any

from surgecast.log import Log
from traffic_manager.forecasts import Forecasts

NAME = "forecasts.json"
BYTES_MAX = 64 * 1024 * 1024
"""Regions beyond that are left out, and a larger file is not read."""
_log = Log("surgecast.manager")


class ForecastsFile:
    """`forecasts.json` in the state folder."""

    def __init__(self, folder: Path, forecasts: Forecasts) -> None:
        self._path = folder / NAME
        self._forecasts = forecasts
        self._failed = False

    def load(self) -> None:
        """Go on with what was learned. Without a file, or with one that makes no sense, learning
        begins anew."""
        try:
            if self._path.stat().st_size > BYTES_MAX:
                raise ValueError(f"it is larger than {BYTES_MAX} bytes")
            state = json.loads(self._path.read_bytes())
            self._forecasts.load(state)
        except FileNotFoundError:
            return
        except (OSError, ValueError, RecursionError) as error:
            _log.warning("forecasts begin anew", path=self._path, reason=error)
            return
        _log.info("forecasts go on", regions=len(self._forecasts.regions()))

    async def keep_writing(self, every_s: float) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(every_s)
            await self.write()

    async def write(self) -> None:
        """Once, if anything was learned. A disk that refuses is told once, and tried again."""
        parts: list[str] = []
        size = 0
        for region in self._forecasts.regions():
            state = self._forecasts.save_region(region)
            if state is not None:
                text = await asyncio.to_thread(_member, region, state)
                size += len(text)
                if size <= BYTES_MAX // 2:
                    parts.append(text)
        if not parts:
            return
        head = json.dumps(self._forecasts.save_common())
        try:
            await asyncio.to_thread(self._put, f'{head[:-1]}, "regions": {{{", ".join(parts)}}}}}')
        except OSError as error:
            if not self._failed:
                _log.error("forecasts not kept", path=self._path, reason=error)
            self._failed = True
            return
        self._failed = False

    def _put(self, text: str) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        new = self._path.with_suffix(".new")
        new.write_text(text, encoding="utf-8")
        os.replace(new, self._path)


def _member(name: str, state: dict[str, Any]) -> str:
    return f"{json.dumps(name)}: {json.dumps(state)}"
