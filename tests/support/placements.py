"""Signatures, workers and a model that says what it is told to, for tests of placement."""

from collections.abc import Mapping, Sequence

from surgecast.control.messages import RungSignature, Signature
from traffic_manager.placement.choose import WorkerView
from traffic_manager.placement.costs.model import PRESET_FACTORS, Cost, Load, Machine, Outlook
from traffic_manager.placement.costs.model import shared_fairly as shared

RUNGS = (("720p", 1280, 720, 2.8e6), ("480p", 854, 480, 1.4e6), ("240p", 426, 240, 4e5))


def signature(preset: str = "veryfast", count: int = 3) -> Signature:
    """A usual ladder, its first rungs only where `count` is less than 3."""
    rungs = [
        RungSignature(rung=name, width=width, height=height, frame_rate=30.0, video_bps=bps)
        for name, width, height, bps in RUNGS[:count]
    ]
    return Signature(width=1280, height=720, frame_rate=30.0, preset=preset, rungs=rungs)


class StatedModel:
    """A channel costs what is stated, by pixels and preset where some of it is left out."""

    def __init__(self, cores: Mapping[str, float], sigma_log: float = 0.0) -> None:
        self.cores = dict(cores)
        self.sigma_log = sigma_log
        self.default_cores = 0.5

    def cost(self, channel: str, signature: Signature, machine: Machine) -> Cost:
        whole = sum(width * height for _, width, height, _ in RUNGS)
        share = sum(rung.width * rung.height for rung in signature.rungs) / whole
        factor = PRESET_FACTORS[signature.preset]
        cores = self.cores.get(channel, self.default_cores) * share * factor
        return Cost(cores, self.sigma_log, "as stated")

    def outlook(self, machine: Machine, loads: Sequence[Load], confidence: float) -> Outlook:
        return shared(machine, loads, confidence)


def load(channel: str, cores: float, sigma_log: float = 0.0) -> Load:
    return Load(channel, signature(), Cost(cores, sigma_log, "as stated"))


def worker(name: str, cores: float, *loads: Load, host: str = "", closed: str = "") -> WorkerView:
    reserved = sum(one.cost.cores for one in loads)
    return WorkerView(name, cores, host or name, "", tuple(loads), reserved, closed)
