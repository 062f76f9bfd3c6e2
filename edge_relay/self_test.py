"""Whether a relay's own answers are right, asked over its own address before viewers come."""

import aiohttp

from surgecast.delivery.channels import Directory, Stage
from surgecast.errors import RemoteError

_TIMEOUT_S = 5.0
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}


async def find_fault(directory: Directory, host: str, port: int) -> str:
    """What is wrong, as a sentence; empty if all channels on show are served."""
    stages = [stage for stage in directory if stage.window.ready]
    if not stages:
        return "no channel is on show yet"
    reached = _EVERYWHERE.get(host, host)
    base = f"http://[{reached}]:{port}" if ":" in reached else f"http://{reached}:{port}"
    timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S)
    async with aiohttp.ClientSession(base, timeout=timeout) as http:
        for stage in stages:
            try:
                await _check(http, stage)
            except (aiohttp.ClientError, OSError, TimeoutError, RemoteError) as error:
                return f"channel {stage.name}: {error or type(error).__name__}"
    return ""


async def _check(http: aiohttp.ClientSession, stage: Stage) -> None:
    """The playlist of the lowest rung, and its newest segment. Raises RemoteError."""
    rung = stage.window.renditions[-1].name
    base = f"/live/{stage.name}/{rung}/"
    playlist = (await _get(http, f"{base}media.m3u8")).decode()
    names = [line for line in playlist.splitlines() if line and not line.startswith("#")]
    if not names:
        raise RemoteError(f"{base}media.m3u8 lists nothing")
    newest = stage.window.listed[-1]
    body = await _get(http, f"/live/{stage.name}/{newest.object_name(rung)}")
    if len(body) != len(newest.payloads[rung]):
        expected = len(newest.payloads[rung])
        raise RemoteError(f"{newest.object_name(rung)}: {len(body)} bytes of {expected}")


async def _get(http: aiohttp.ClientSession, path: str) -> bytes:
    async with http.get(path) as answer:
        if answer.status != 200:
            raise RemoteError(f"{path}: HTTP {answer.status}")
        return await answer.read()
