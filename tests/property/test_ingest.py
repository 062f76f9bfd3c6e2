"""Whatever is lost or comes twice on the way: each set is taken once, in order, by one lease."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from origin.leases import Leases, Verdict
from segmenter.cutter import CutSegment, Pes
from segmenter.encoder import CutSet
from segmenter.remote.outbox import Outbox
from segmenter.remote.wire import outgoing_set, read_set
from segmenter.ts import seal
from surgecast.control.transcoding import Role
from surgecast.errors import LocalError, RemoteError
from tests.support.cut_sets import LADDER, cut_sets

ITEM = outgoing_set(1, cut_sets(1)[0])
CUT = cut_sets(1)[0]

STEPS = st.lists(
    st.tuples(
        st.sampled_from(["cut", "send", "request lost", "answer lost", "restart", "look"]),
        st.floats(0.0, 3.0),
    ),
    max_size=80,
)


@settings(max_examples=150, deadline=None)
@given(steps=STEPS)
def test_a_lossy_way_loses_nothing_within_the_bound(
    steps: list[tuple[str, float]],
) -> None:
    """Each set is taken once and in order; where the origin forgets, none is taken twice in a life
    of it; what is missing at the end was dropped, as the outbox says."""
    now, cut = 0.0, 0
    box = Outbox(0, age_max_s=20.0, bytes_max=1 << 30)
    leases = Leases(3.0, 1.0)
    taken: list[int] = []
    lives: list[list[int]] = []

    def origin_takes(sequence: int) -> int:
        lease = leases.announce(1, "primary", True, now)
        if leases.offer_set(lease, sequence, now) is Verdict.TAKE:
            taken.append(sequence)
        return lease.next

    for step, passed_s in [*steps, *[("send", 0.0)] * 100]:
        now += passed_s
        waiting = box.first()
        if step == "cut":
            box.put(ITEM, now)
            cut += 1
        elif step == "restart":
            lives.append(taken)
            taken, leases = [], Leases(3.0, 1.0)
        elif waiting is None or step == "request lost":
            continue
        elif step == "look":
            lease = leases.find(1)
            box.taken(lease.next if lease else 0)
        else:
            origin_takes(waiting.sequence)
            if step == "send":
                box.taken(waiting.sequence + 1)
    lives.append(taken)
    for life in lives:
        assert life == sorted(set(life)), "in order, and none twice"
    assert len(box) == 0
    assert len({n for life in lives for n in life}) + box.dropped >= cut


ACTIONS = st.lists(
    st.tuples(
        st.integers(1, 5),
        st.sampled_from(["set", "part", "old set", "gone", "silent"]),
        st.integers(0, 3),
        st.floats(0.0, 4.0),
    ),
    max_size=80,
)


@settings(max_examples=300, deadline=None)
@given(actions=ACTIONS, backups=st.sets(st.integers(1, 5)))
def test_one_lease_at_a_time_and_never_an_older_one_of_its_role(
    actions: list[tuple[int, str, int, float]], backups: set[int]
) -> None:
    now, leases = 0.0, Leases(3.0, 1.0)
    roles: dict[int, Role] = {n: "backup" if n in backups else "primary" for n in range(1, 6)}
    newest: dict[Role, int] = {}
    over: set[int] = set()
    taken: set[tuple[int, int]] = set()
    for number, action, index, passed_s in actions:
        now += passed_s
        role = roles[number]
        assert all(leases.is_over(n, now, roles[n]) for n in over), "over is over"
        if leases.is_over(number, now, role):
            over.add(number)
            continue
        lease = leases.announce(number, role, action != "silent", now)
        parts_before = leases.parts_on_air
        if action == "set":
            verdict = leases.offer_set(lease, lease.next, now)
            newest[role] = max(newest.get(role, 0), number)
            assert (verdict is Verdict.TAKE) == (leases.on_air is lease)
            if verdict is Verdict.TAKE:
                assert number == newest[role], "of its role, the newest that had a set"
                name = (number, lease.next - 1)
                assert name not in taken
                taken.add(name)
        elif action == "old set" and lease.next:
            assert leases.offer_set(lease, lease.next - 1, now) is Verdict.KNOWN
        elif action == "part":
            verdict = leases.offer_part(lease, lease.next_part, index, now)
            if leases.parts_on_air is not parts_before:
                assert index == 0, "another lease begins with the first part of a segment"
            assert (verdict is Verdict.TAKE) == (leases.parts_on_air is lease)
        elif action == "gone":
            leases.lose(lease, now)
        if newest:
            assert leases.on_air is not None, "once fed, a channel knows by whom"


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 10_000), flips=st.integers(1, 6))
def test_spoiled_media_is_refused_or_can_be_sealed(seed: int, flips: int) -> None:
    """Bytes that lie, under a digest that does not: nothing else than words comes of it."""
    rng = random.Random(seed)
    packets = bytearray(CUT.segments["low"].packets)
    for _ in range(flips):
        # Heads of packets are where it hurts.
        at = 188 * rng.randrange(len(packets) // 188) + rng.choice([0, 1, 2, 3, 4, 5, 9, 14, 18])
        packets[at] = rng.randrange(256)
    segment = CutSegment(126_000, 180_000, (Pes(True, 126_000, bytes(packets)),))
    bad = CutSet(126_000, {**CUT.segments, "low": segment})
    try:
        pushed = read_set(outgoing_set(1, bad).encode(0.0), LADDER)
        seal(pushed.cut.segments["low"].packets, 90_000, 7)
    except (RemoteError, LocalError) as error:
        assert str(error)
