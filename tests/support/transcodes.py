"""Samples of a made world: what channels cost and how slow machines are is known."""

from dataclasses import dataclass, field

import numpy as np

from surgecast.control.messages import Complexity, RungSignature, Signature
from traffic_manager.placement.costs.prior_file import shipped_prior
from traffic_manager.placement.costs.samples import Sample, TaskSample

PRIOR = shipped_prior()
SIZES = {"720p": (1280, 720, 2.8e6), "480p": (854, 480, 1.4e6), "240p": (426, 240, 4e5)}


def signature_of(*names: str, preset: str = "veryfast", complexity: float = 0.15) -> Signature:
    rungs = [
        RungSignature(rung=name, width=w, height=h, frame_rate=30.0, video_bps=bps)
        for name, (w, h, bps) in SIZES.items()
        if name in (names or SIZES)
    ]
    return Signature(
        width=1280,
        height=720,
        frame_rate=30.0,
        complexity=Complexity(bits_per_pixel=complexity, motion=0.5),
        preset=preset,
        rungs=rungs,
    )


@dataclass
class Machines:
    """Costs are the prior's, times the channel's factor, times the machine's, and some noise."""

    seed: int = 1
    noise: float = 0.03
    workers: dict[str, float] = field(default_factory=lambda: {"small": 1.3, "large": 0.8})
    channels: dict[str, float] = field(
        default_factory=lambda: {"news": 0.8, "sport": 1.4, "film": 1.1}
    )
    at_utc: float = 0.0

    def __post_init__(self) -> None:
        self.generator = np.random.default_rng(self.seed)

    def cost_cores(self, channel: str, worker: str, signature: Signature) -> float:
        factor = self.channels[channel] * self.workers[worker]
        return PRIOR.channel(signature).cores * factor

    def sample(self, worker: str, *channels: str, cores: float = 8.0) -> Sample:
        """These channels at once; each slowed down alike where they want more than there is."""
        self.at_utc += 60.0
        needs = {
            name: self.cost_cores(name, worker, signature_of())
            * self.generator.lognormal(0, self.noise)
            for name in channels
        }
        speed = min(1.0, cores / sum(needs.values()))
        tasks = tuple(
            TaskSample(name, need * speed, speed, signature_of()) for name, need in needs.items()
        )
        used = sum(task.cores for task in tasks)
        return Sample(self.at_utc, worker, cores, "", tasks, speed, used, 60.0)
