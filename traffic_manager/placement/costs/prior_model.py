"""What encoding costs before anything was measured here: the shipped prior. Pure.

One small polynomial for each x264 preset says CPU seconds a picture from its size and the bits it
is to have. Its form comes from public measurements (`x264_ugc_cost`, `x264_machines`; see
`prior/NOTICE.txt`), what live encodes differ by from runs of FFmpeg; `scripts/build_prior.py` puts
them together, docs/decisions/0043 says how well they agree. Two things it cannot know are told
apart: how hard this content is (`sigma_log`), and how fast this machine is (`level_sigma_log`),
which is one factor for all presets and sizes and so is known after the first sample of a worker.
Out of the range it was fitted on it says so, and how much less it knows.
"""

import json
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from surgecast.control.messages import RungSignature, Signature

FORMAT = 1
KIND = "prior"
_UNKNOWN_PRESET = "veryfast"
_UNKNOWN_PRESET_SIGMA = 0.7
_OUT_OF_RANGE_SIGMA = 0.5
"""Of a logarithm, for each factor e that an input is out of range."""
_UNKNOWN_COMPLEXITY_SIGMA = 0.15
_CODECS = ("h264", "avc1", "")
_INPUTS = ("pixels", "made")
"""Logarithms: of pixels, of bits a pixel."""
_FRONT = (
    "decode_s_per_pixel",
    "scale_s_per_source_pixel",
    "scale_s_per_pixel",
    "shrink_exponent",
    "task_cores",
)


@dataclass(frozen=True, slots=True)
class Expected:
    """What a channel or a rung is expected to cost."""

    cores: float
    """For real time."""
    sigma_log: float
    """Of its logarithm, on a machine whose speed is known."""
    level_sigma_log: float
    """Of what that machine's speed adds, the same for all that runs there; 0 where it is known."""
    doubts: tuple[str, ...] = ()
    """What was out of range or not known, in words."""


@dataclass(frozen=True, slots=True)
class _Polynomial:
    """Of second order in centred logarithms; ranges and spread of what it was fitted on."""

    weights: tuple[float, ...]
    sigma_log: float

    def at(self, point: Sequence[float]) -> float:
        return sum(w * t for w, t in zip(self.weights, terms(point), strict=True))


@dataclass(frozen=True, slots=True)
class _Preset:
    encode: _Polynomial
    """Of pixels and bits a pixel."""
    live_log: float
    """What a live encode by FFmpeg takes more than those that were measured."""


def terms(point: Sequence[float]) -> list[float]:
    """1, each coordinate, each product of two: the columns of a fit."""
    found = [1.0, *point]
    for place, first in enumerate(point):
        found += [first * second for second in point[place:]]
    return found


class Prior:
    """The expected cost of encodes."""

    def __init__(self, state: Mapping[str, Any]) -> None:
        """Raises ValueError, KeyError or TypeError for what is no prior."""
        if state["format"] != FORMAT:
            raise ValueError(f"format {state['format']!r} of a prior; known: {FORMAT}")
        self._presets = {name: _preset_of(preset) for name, preset in state["presets"].items()}
        if _UNKNOWN_PRESET not in self._presets:
            raise ValueError(f"a prior without preset {_UNKNOWN_PRESET}")
        self._centre = {name: _number(state["centre"][name]) for name in _INPUTS}
        self._range = {
            name: (_number(state["range"][name][0]), _number(state["range"][name][1]))
            for name in (*_INPUTS, "probed")
        }
        self._live_sigma = _number(state["live_sigma_log"])
        self._level_sigma = _number(state["level"]["sigma_log"])
        self._known_level_sigma = _number(state["level"]["known_sigma_log"])
        self._machines = {
            str(model): _number(log) for model, log in state["level"]["machines"].items()
        }
        self._front = {name: _number(state["front"][name]) for name in _FRONT}

    @classmethod
    def load(cls, content: bytes) -> Self:
        """Of a model file's content. Raises ValueError, KeyError or TypeError."""
        return cls(json.loads(content))

    @property
    def presets(self) -> tuple[str, ...]:
        """Those that are known, fastest first."""
        return tuple(self._presets)

    def level(self, cpu_model: str) -> tuple[float, float]:
        """How slow a machine is, as a logarithm, and how well that is known."""
        log = self._machines.get(cpu_model)
        return (0.0, self._level_sigma) if log is None else (log, self._known_level_sigma)

    def channel(
        self,
        signature: Signature,
        *,
        preset: str = "",
        shed: Collection[str] = (),
        cpu_model: str = "",
    ) -> Expected:
        """A whole channel: decoded once, scaled and encoded for each rung that is not shed."""
        rungs = [rung for rung in signature.rungs if rung.rung not in shed]
        each = [self.rung(signature, rung, preset=preset, cpu_model=cpu_model) for rung in rungs]
        level_log, level_sigma = self.level(cpu_model)
        around = self._front["task_cores"] + self._decoding_s(signature) * signature.frame_rate
        cores = around * math.exp(level_log) + sum(expected.cores for expected in each)
        # One source: what is harder than expected is so in all rungs.
        spread = sum(expected.cores * expected.sigma_log for expected in each)
        doubts = dict.fromkeys(doubt for expected in each for doubt in expected.doubts)
        if signature.codec not in _CODECS:
            doubts[f"source of {signature.codec}: decoding as if H.264"] = None
        return Expected(cores, spread / cores if cores else 0.0, level_sigma, tuple(doubts))

    def rung(
        self, signature: Signature, rung: RungSignature, *, preset: str = "", cpu_model: str = ""
    ) -> Expected:
        """Scaling and encoding of one rung."""
        preset = preset or signature.preset
        doubts = [] if preset in self._presets else [f"preset {preset} as {_UNKNOWN_PRESET}"]
        known = self._presets.get(preset, self._presets[_UNKNOWN_PRESET])
        pixels = float(rung.width * rung.height)
        if pixels <= 0 or rung.frame_rate <= 0:
            return Expected(0.0, 0.0, 0.0, (f"rung {rung.rung} without pictures",))
        made_log = math.log(max(rung.video_bps, 1.0) / (rung.frame_rate * pixels))
        place = self._placed(math.log(pixels), made_log, signature, pixels)
        level_log, level_sigma = self.level(cpu_model)
        log = known.encode.at(place.point) + place.added_log + known.live_log
        cpu_s = (math.exp(log) + self._scaling_s(signature, pixels)) * math.exp(level_log)
        sigma = math.hypot(known.encode.sigma_log, place.sigma_log)
        if preset not in self._presets:
            sigma = math.hypot(sigma, _UNKNOWN_PRESET_SIGMA)
        return Expected(cpu_s * rung.frame_rate, sigma, level_sigma, (*doubts, *place.doubts))

    def _placed(
        self, pixels_log: float, made_log: float, signature: Signature, pixels: float
    ) -> "_Place":
        """Where an encode is among those that were measured. Out of range the polynomial is asked
        at the edge; time goes on with the pixels."""
        held_pixels, far, doubts = _held(pixels_log, self._range["pixels"], "picture size")
        held_made, off, more = _held(made_log, self._range["made"], "bits a pixel")
        point = (held_pixels - self._centre["pixels"], held_made - self._centre["made"])
        sigma = math.hypot(self._live_sigma, _OUT_OF_RANGE_SIGMA * math.hypot(far, off))
        probed_log = self._probed_log(signature, pixels)
        if probed_log is None:
            sigma = math.hypot(sigma, _UNKNOWN_COMPLEXITY_SIGMA)
            more.append("complexity not known")
        else:
            _, off, still = _held(probed_log, self._range["probed"], "complexity")
            sigma = math.hypot(sigma, _OUT_OF_RANGE_SIGMA * off)
            more += still
        return _Place(point, pixels_log - held_pixels, sigma, (*doubts, *more))

    def _probed_log(self, signature: Signature, pixels: float) -> float | None:
        """Bits a pixel of a fast encode in another size: a smaller picture has more of them."""
        found, whole = signature.complexity, float(signature.width * signature.height)
        if found is None or found.bits_per_pixel <= 0 or whole <= 0:
            return None
        shrunk = math.log(whole / pixels) * self._front["shrink_exponent"]
        return math.log(found.bits_per_pixel) + shrunk

    def _decoding_s(self, signature: Signature) -> float:
        return self._front["decode_s_per_pixel"] * signature.width * signature.height

    def _scaling_s(self, signature: Signature, pixels: float) -> float:
        whole = float(signature.width * signature.height)
        if whole == pixels:
            return 0.0
        return (
            self._front["scale_s_per_source_pixel"] * whole
            + self._front["scale_s_per_pixel"] * pixels
        )


@dataclass(frozen=True, slots=True)
class _Place:
    """An encode among those that were measured."""

    point: tuple[float, ...]
    added_log: float
    sigma_log: float
    """What the polynomial does not know of."""
    doubts: tuple[str, ...]


def _held(value: float, limits: tuple[float, float], what: str) -> tuple[float, float, list[str]]:
    """The nearest value in range, how far away that is, and a doubt if it is."""
    held = min(max(value, limits[0]), limits[1])
    return held, value - held, [] if held == value else [f"{what} out of range"]


def _preset_of(state: Mapping[str, Any]) -> _Preset:
    return _Preset(_polynomial_of(state["encode"]), _number(state["live_log"]))


def _polynomial_of(state: Mapping[str, Any]) -> _Polynomial:
    weights = tuple(_number(weight) for weight in state["weights"])
    if len(weights) != len(terms((0.0, 0.0))):
        raise ValueError(f"{len(weights)} weights of a polynomial of 2 inputs")
    return _Polynomial(weights, _number(state["sigma_log"]))


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{value!r} is no number")
    return float(value)
