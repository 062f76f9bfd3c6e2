"""Vectors of viewers do what the production code does for one: the same buffer, the same rung."""

import random

import numpy as np
import pytest

from player.abr import START_BPS, BandwidthEstimate, choose
from player.buffer import Buffered, PlaybackBuffer, State
from simulation import playback, seen
from simulation.playback import PLAYING, STALLED, WAITING
from surgecast.delivery.adaptation.allocation import Offer
from surgecast.delivery.adaptation.ceiling import Ceiling, Drained, highest
from surgecast.hls.model import Variant

STATES = {State.WAITING: WAITING, State.PLAYING: PLAYING, State.STALLED: STALLED}
PEAKS_BPS = (7_500_000.0, 3_750_000.0, 1_800_000.0, 1_000_000.0, 500_000.0)
VIEWERS = 200


@pytest.mark.parametrize("seed", range(3))
def test_buffers_fill_drain_and_stall_as_in_the_player(seed: int) -> None:
    dice = random.Random(seed)
    buffers = [PlaybackBuffer(0.0, playback.THRESHOLD_S) for _ in range(VIEWERS)]
    state = np.zeros(VIEWERS, dtype=np.int8)
    buffered_s = np.zeros(VIEWERS, dtype=np.float32)
    stall_s = np.zeros(VIEWERS, dtype=np.float32)
    now = np.zeros(VIEWERS)
    for _ in range(60):
        passed_s = np.array([dice.uniform(0.0, 2.6) for _ in buffers], np.float32)
        got = np.array([dice.random() < 0.6 for _ in buffers])
        duration_s = dice.choice((0.7, 2.0))
        playback.advance(state, buffered_s, stall_s, passed_s)
        playback.append(state, buffered_s, got, duration_s)
        now += passed_s
        for viewer, buffer in enumerate(buffers):
            buffer.advance(now[viewer])
            if got[viewer]:
                buffer.append(Buffered(duration_s), now[viewer])
    assert stall_s == pytest.approx([b.stall_s() for b in buffers], abs=1e-3)
    assert buffered_s == pytest.approx([b.buffered_s for b in buffers], abs=1e-3)
    assert state.tolist() == [STATES[buffer.state] for buffer in buffers]


def test_rungs_are_those_that_a_player_would_choose() -> None:
    dice = random.Random(7)
    variants = [Variant(str(p), peak_bps=int(bps)) for p, bps in enumerate(PEAKS_BPS)]
    estimates = [BandwidthEstimate() for _ in range(VIEWERS)]
    fast, slow, weight = (np.zeros(VIEWERS, dtype=np.float32) for _ in range(3))
    current = np.full(VIEWERS, len(PEAKS_BPS) - 1, dtype=np.int8)
    assert playback.estimate(fast, slow, weight).tolist() == [START_BPS] * VIEWERS
    for _ in range(30):
        bps = np.array([10 ** dice.uniform(5.3, 7.3) for _ in estimates], dtype=np.float32)
        seconds = np.array([dice.choice((0.001, 0.4, 3.0)) for _ in estimates], dtype=np.float32)
        playback.learn(fast, slow, weight, bps, seconds)
        believed = playback.estimate(fast, slow, weight)
        chosen = playback.highest(PEAKS_BPS, current, believed, 0.7, 0.95)
        for viewer, known in enumerate(estimates):
            lasted_s = max(float(seconds[viewer]), 0.02)
            known.sample(int(bps[viewer] * lasted_s / 8), lasted_s)
            assert believed[viewer] == pytest.approx(known.bps(), rel=5e-3)
            choice = choose(variants, float(believed[viewer]), variants[current[viewer]])
            assert variants[chosen[viewer]] is choice
        current = chosen


def test_a_server_sees_of_connections_what_the_governor_is_told() -> None:
    dice = random.Random(11)
    ceilings = [Ceiling() for _ in range(VIEWERS)]
    quick, slow = (np.zeros(VIEWERS, dtype=np.float32) for _ in range(2))
    held = np.array([dice.randrange(len(PEAKS_BPS)) for _ in ceilings], dtype=np.int8)
    offers = [Offer(bps, 0.0) for bps in PEAKS_BPS]
    for step in range(20):
        bps = np.array([10 ** dice.uniform(5.3, 7.3) for _ in ceilings], dtype=np.float32)
        took_s = np.array([dice.choice((0.03, 0.5, 2.0)) for _ in ceilings], dtype=np.float32)
        bits = np.maximum(bps * took_s, 0).astype(np.float32)
        seen.see(quick, slow, bps, took_s, bits)
        for viewer, ceiling in enumerate(ceilings):
            drained = Drained(int(bits[viewer] / 8), float(took_s[viewer]), 0.02, None)
            ceiling.sample(float(step), drained)
            known_bps = ceiling.bps(float(step))
            found = min(quick[viewer], slow[viewer])
            assert found == pytest.approx(known_bps or 0.0, rel=1e-3)
    known = slow > 0
    usable = playback.highest(PEAKS_BPS, held, np.minimum(quick, slow), seen.RISE, seen.HOLD)
    for viewer in np.flatnonzero(known):
        bps_now = float(min(quick[viewer], slow[viewer]))
        assert usable[viewer] == highest(offers, int(held[viewer]), bps_now)
