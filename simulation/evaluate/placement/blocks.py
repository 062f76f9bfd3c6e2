"""In which order policies are run: short blocks, there and back, so that a machine that drifts
does not favour the one that came first. Pure.

    seed 1: R0 R4 ours | ours R4 R0 | R0 R4 ours | ...
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from simulation.evaluate.placement.policies import Goal

Study = str
STUDIES: tuple[Study, ...] = ("main", "new_rendition", "cold_start")


@dataclass(frozen=True, slots=True)
class Block:
    """A slice of the trace of one seed with one policy."""

    study: Study
    goal: Goal
    policy: str
    seed: int
    number: int
    from_s: float
    until_s: float

    @property
    def key(self) -> tuple[Any, ...]:
        """What tells it from others, in records too."""
        return (self.study, self.goal, self.policy, self.seed, self.from_s, self.until_s)


def key_of(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """Of a block's record."""
    names = ("study", "goal", "policy", "seed", "from_s", "until_s")
    return tuple(row[name] for name in names)


def schedule(
    study: Study,
    goal: Goal,
    policies: Sequence[str],
    seeds: Sequence[int],
    run_s: float,
    block_s: float,
) -> list[Block]:
    """All blocks. A last one that is shorter than a block is left out."""
    found: list[Block] = []
    for seed in seeds:
        for number in range(max(1, int(run_s // block_s))):
            order = policies if number % 2 == 0 else policies[::-1]
            from_s = number * block_s
            found += [
                Block(study, goal, policy, seed, number, from_s, from_s + block_s)
                for policy in order
            ]
    return found
