"""`surgecast play --low-latency` as a process of its own, seen like any other player."""

import json
import sys

from tests.players.process import run
from tests.players.sighting import Sighting

_OPENING_LIMIT_S = 40.0


class SurgecastPlay:
    """Our own headless player. It counts parts, not frames."""

    name = "surgecast play"

    def installed(self) -> str | None:
        return None

    async def watch(self, url: str, seconds: float) -> Sighting:
        command = [sys.executable, "-m", "player", url, "--low-latency", "--json"]
        finished = await run([*command, "--seconds", str(seconds)], seconds + _OPENING_LIMIT_S)
        sighting = Sighting(self.name, status=finished.status)
        sighting.errors += [line.text for line in finished.stderr]
        if finished.stdout:
            _read(json.loads(finished.stdout[-1].text), sighting)
        return sighting


def _read(report: dict[str, object], sighting: Sighting) -> None:
    sighting.stalls = int(str(report["stalls"]))
    sighting.media_s = float(str(report["played_s"]))
    latency, low_latency = report["live_latency_s"], report["low_latency"]
    if isinstance(latency, dict):
        sighting.latency_median_s, sighting.latency_p95_s = latency["median_s"], latency["p95_s"]
    if isinstance(low_latency, dict):
        sighting.parts = low_latency["parts"]
    found = (report["request_errors"], report["anomalies"])
    sighting.errors += [str(each) for each in found if each]
