"""The nginx configuration that is shipped: TLS, HTTP/2, one request upstream for a whole crowd."""

import asyncio
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from surgecast.delivery.settings import DeliverySettings
from tests.support.nginx import NGINX, WAIT_S, running_nginx, self_signed
from tests.support.parts import PARTS, Encoder, low_latency_window
from tests.support.ports import free_port
from tests.support.shows import Show, show

CONFIG = Path(__file__).parents[2] / "configs" / "nginx" / "surgecast.conf"
MISSING = [name for name in ("curl", "openssl") if shutil.which(name) is None]
MISSING += [] if NGINX else ["nginx"]
pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")


@dataclass
class Front:
    """nginx at `base`, and the channel behind it."""

    base: str
    shown: Show
    encoder: Encoder

    def asked_upstream(self, kind: str) -> int:
        return self.shown.directory.tallies.by_kind[kind].requests


def adapted(folder: Path, port: int, upstream: int) -> str:
    """The shipped file with addresses and folders of a test; nothing else is changed."""
    certificate, key = self_signed(folder)
    text = CONFIG.read_text(encoding="utf-8")
    for shipped, ours in (
        ("/var/cache/nginx/surgecast", str(folder / "cache")),
        ("server 127.0.0.1:8080;", f"server 127.0.0.1:{upstream};"),
        ("listen 443 ssl http2;", f"listen 127.0.0.1:{port} ssl http2;"),
        ("/etc/ssl/live.example.org.pem", str(certificate)),
        ("/etc/ssl/live.example.org.key", str(key)),
    ):
        assert shipped in text, f"the shipped configuration has no {shipped!r}"
        text = text.replace(shipped, ours)
    return text


@asynccontextmanager
async def front(folder: Path) -> AsyncIterator[Front]:
    delivery = DeliverySettings(host="127.0.0.1", port=0)
    port = free_port()
    async with show(delivery=delivery, low_latency=low_latency_window()) as shown:
        encoder = Encoder()
        for _ in range(4 * PARTS):
            shown.stage.publish_part(encoder.part())
        http = adapted(folder, port, shown.serving.port)
        async with running_nginx(folder, http, port, tls=True):
            yield Front(f"https://127.0.0.1:{port}", shown, encoder)


async def run(*command: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    async with asyncio.timeout(WAIT_S):
        output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    return output.decode()


async def curl(url: str, *options: str) -> str:
    return await run("curl", "-sS", "-k", "--http2", *options, url)


async def crowd(url: str, viewers: int) -> list[str]:
    """`viewers` requests for the same URL at once, multiplexed by HTTP/2; their status codes."""
    options = [
        "--no-progress-meter",
        "--parallel",
        "--parallel-max",
        str(viewers),
        "-w",
        "%{http_code} %{http_version}\n",
    ]
    urls = [text for _ in range(viewers) for text in ("-o", "/dev/null", url)]
    output = await run("curl", "-sS", "-k", "--http2", *options, *urls)
    return output.splitlines()


async def test_playlists_and_segments_come_over_tls_and_http_2(tmp_path: Path) -> None:
    """Rules R29, R33 and R48 hold behind it."""
    async with front(tmp_path) as at:
        entry = f"{at.base}/live/demo/720p/media.m3u8"
        answer = await curl(entry, "-i", "--compressed")
        assert answer.startswith("HTTP/2 200")
        assert "content-encoding: gzip" in answer.lower()
        assert "access-control-allow-origin: *" in answer.lower()
        segment = f"{at.base}/live/demo/720p/e0-7.ts"
        assert "x-cache: MISS" in await curl(
            segment, "-I", "-X", "GET", "-o", "/dev/null", "-D", "-"
        )
        again = await curl(segment, "-X", "GET", "-o", "/dev/null", "-D", "-")
        assert "x-cache: HIT" in again
        assert "immutable" in again


async def test_a_crowd_asks_upstream_once(tmp_path: Path) -> None:
    async with front(tmp_path) as at:
        answers = await crowd(f"{at.base}/live/demo/480p/e0-6.ts", 40)
        assert answers == ["200 2"] * 40
        assert at.asked_upstream("segment") == 1


@pytest.mark.skipif(shutil.which("h2load") is None, reason="not installed: h2load")
async def test_connections_with_many_streams_are_all_answered(tmp_path: Path) -> None:
    """As browsers use HTTP/2: few connections, many requests at once on each."""
    async with front(tmp_path) as at:
        url = f"{at.base}/live/demo/720p/e0-7.ts"
        report = await run("h2load", "-n", "2000", "-c", "20", "-m", "16", url)
        assert "2000 succeeded, 0 failed" in report
        assert "Application protocol: h2" in report
        assert at.asked_upstream("segment") == 1


async def test_held_requests_are_one_upstream_and_all_are_answered(tmp_path: Path) -> None:
    """Blocking reloads collapse into one (bis appendix B.1)."""
    async with front(tmp_path) as at:
        stage = at.shown.stage.low_latency
        assert stage is not None
        msn, part = stage.window.next_part or (0, 0)
        url = f"{at.base}/live/demo/ll/480p/media.m3u8?_HLS_msn={msn}&_HLS_part={part}"
        asking = asyncio.create_task(crowd(url, 30))
        async with asyncio.timeout(WAIT_S):
            while True:  # the room tells nobody who comes
                if len(stage.room):
                    break
                await asyncio.sleep(0.005)
        at.shown.stage.publish_part(at.encoder.part())
        assert await asking == ["200 2"] * 30
        assert at.asked_upstream("low_latency_playlist") == 1


async def test_what_is_one_viewers_is_not_kept(tmp_path: Path) -> None:
    """Rule R3: two viewers, two sessions."""
    async with front(tmp_path) as at:
        url = f"{at.base}/live/demo/adaptive.m3u8"
        first, second = await curl(url), await curl(url)
        named = [re.findall(r"^s/.+", text, re.MULTILINE) for text in (first, second)]
        assert named[0] and named[1]
        assert named[0] != named[1]


async def test_what_is_not_for_viewers_is_not_passed_on(tmp_path: Path) -> None:
    async with front(tmp_path) as at:
        for path in ("/api/v1/channels", "/metrics", "/fleet/v1/feed/demo"):
            assert await curl(f"{at.base}{path}", "-o", "/dev/null", "-w", "%{http_code}") == "404"
