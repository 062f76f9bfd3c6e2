"""Policies alternate, there and back."""

from simulation.evaluate.placement.blocks import schedule


def test_policies_go_there_and_back() -> None:
    blocks = schedule("main", "speed", ["R0", "R4", "ours"], [1, 2], 720.0, 240.0)
    assert [block.policy for block in blocks[:6]] == ["R0", "R4", "ours", "ours", "R4", "R0"]
    assert len(blocks) == 2 * 3 * 3
    assert {block.seed for block in blocks[:9]} == {1}


def test_slices_of_a_policy_follow_each_other() -> None:
    blocks = schedule("main", "speed", ["R0", "ours"], [1], 700.0, 240.0)
    mine = [(block.from_s, block.until_s) for block in blocks if block.policy == "ours"]
    assert mine == [(0.0, 240.0), (240.0, 480.0)]


def test_each_block_has_a_key_of_its_own() -> None:
    blocks = schedule("main", "speed", ["R0", "R4"], [1, 2, 3], 1200.0, 240.0)
    assert len({block.key for block in blocks}) == len(blocks)
