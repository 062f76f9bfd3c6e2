"""Viewers of a fleet see the rules kept, whichever servers they come to, die, drain or are away."""

import asyncio
from dataclasses import dataclass, field
from urllib.parse import urljoin

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from surgecast.hls.observation import Kind, MediaView
from surgecast.hls.parse import parse_media, parse_multivariant
from surgecast.hls.rules import check
from tests.support.fleet import Fleet, fleet

SERVERS = ("a", "b", "c")
CONTRADICTIONS = {"R1", "R2", "R4", "R5", "R6", "R7"}
WAIT_S = 60.0

steps = st.lists(
    st.one_of(
        st.tuples(st.just("publish"), st.booleans()),
        st.tuples(st.just("publish"), st.just(False)),
        st.tuples(st.just("reload"), st.integers(0, 3)),
        st.tuples(st.just("reload"), st.integers(0, 3)),
        st.tuples(st.just("switch"), st.sampled_from(("720p", "360p"))),
        st.tuples(st.just("kill"), st.sampled_from(SERVERS)),
        st.tuples(st.just("drain"), st.sampled_from(SERVERS)),
        st.tuples(st.just("away"), st.sampled_from(SERVERS)),
    ),
    min_size=1,
    max_size=30,
)


@dataclass
class Viewer:
    """One player behind a balancer that goes round; what it saw must never be contradicted."""

    paths: list[str]
    turn: int
    seen: dict[str, list[MediaView]] = field(default_factory=dict)
    lines: dict[int, tuple[str, int]] = field(default_factory=dict)
    """MSN -> URI and discontinuity number, in whichever variant."""
    newest: int = -1

    def see(self, path: str, text: str, now: float) -> None:
        view = MediaView(path, Kind.SESSION, now, text, parse_media(text))
        history = self.seen.setdefault(path, [])
        broken = [f for f in check(view, history) if f.rule in CONTRADICTIONS]
        assert not broken, f"{broken}\n{text}"
        history.append(view)
        first = view.playlist.media_sequence
        for msn, segment in enumerate(view.playlist.segments, first):
            number = view.discontinuity_number(msn)
            told = self.lines.setdefault(msn, (segment.uri.partition("/e")[2], number))
            assert told == (segment.uri.partition("/e")[2], number), f"{msn}: {told}"
            assert number <= msn + 1, "what a take-over rests on"
        self.newest = max(self.newest, view.playlist.next_msn)


async def reload(running: Fleet, viewer: Viewer) -> None:
    """Ask the next server that is there; while it holds the request, segments go on coming."""
    viewer.turn += 1
    living = [member.itself.server for member in running.living]
    path = viewer.paths[viewer.turn // 3 % len(viewer.paths)]
    asked = asyncio.create_task(running.get(living[viewer.turn % len(living)], path))
    async with asyncio.timeout(WAIT_S):
        while not asked.done():
            await asyncio.wait({asked}, timeout=0.05)
            if not asked.done():
                running.publish()
    status, text, _ = asked.result()
    assert status == 200, text
    viewer.see(path, text, running.clock.now())


async def joined(running: Fleet, entry: str, number: int) -> Viewer:
    server = SERVERS[number % len(SERVERS)]
    status, text, _ = await running.get(server, f"/live/demo/{entry}")
    assert status == 200
    variants = [v for v in parse_multivariant(text).variants if v.pathway_id == server]
    return Viewer([urljoin("/live/demo/", variant.uri) for variant in variants], number)


async def happen(running: Fleet, what: str, value: object, viewers: list[Viewer]) -> None:
    server = str(value)
    serving = [m.itself.server for m in running.living if m.itself.takes_sessions]
    if what == "publish":
        running.publish(discontinuity=bool(value))
    elif what == "reload":
        await reload(running, viewers[int(server)])
    elif what == "switch":
        for member in running.living:
            member.stage.set_rung_of_all(server)
    elif what == "kill" and server in serving and len(serving) > 1:
        await running.kill(server)
    elif what == "drain" and server in serving and len(serving) > 1:
        running.drain(server)
        await running.members[server].fleet.look()
    elif what == "away":
        for member in running.living:
            await member.fleet.look()


async def play(happens: list[tuple[str, object]]) -> None:
    async with fleet(SERVERS) as running:
        entries = ("adaptive.m3u8", "index.m3u8", "adaptive.m3u8", "index.m3u8")
        viewers = [await joined(running, entry, n) for n, entry in enumerate(entries)]
        # Histories of their own from the first, so that to forget one is to contradict it.
        for member in running.living:
            member.stage.set_rung_of_all("480p")
        running.publish()
        for viewer in viewers:
            await reload(running, viewer)
        for what, value in happens:
            await happen(running, what, value, viewers)
        for _ in range(14):
            running.publish()
        for viewer in viewers:
            await reload(running, viewer)
        seen_at = running.clock.now()
        while running.clock.now() - seen_at < 50.0:
            running.publish()
        # What was counted elsewhere was last heard of more than an expiry ago.
        assert running.viewers == len(viewers), "exact within one expiry"


@given(steps)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_nothing_is_contradicted_and_everybody_counts_once(
    happens: list[tuple[str, object]],
) -> None:
    asyncio.run(play(happens))
