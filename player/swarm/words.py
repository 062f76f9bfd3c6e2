"""What the words of `surgecast swarm` mean: arrivals, leaving, shares and networks."""

from collections.abc import Callable, Mapping
from pathlib import Path

from player.swarm.arrivals import Crowd, Curve, Leave, constant, flash_crowd, ramp, traced
from player.swarm.links import Link, steady
from player.swarm.links import traced as traced_link
from player.swarm.traces import networks_of, viewers_of
from surgecast.errors import ConfigError
from surgecast.units import parse_quantity

Words = dict[str, str]


def crowd_of(text: str, leave: tuple[Leave, float]) -> Crowd:
    """`flash:from=20,to=400,over=30,hold=60,away=30,region=b` and the like.

    Raises ConfigError that names what is allowed.
    """
    kind, _, rest = text.partition(":")
    make = _KINDS.get(kind)
    if make is None:
        raise ConfigError(f"--arrivals: expected one of {', '.join(_KINDS)}, found {kind!r}")
    words = _words(rest)
    region = words.pop("region", None)
    curve = make(words)
    if words:
        raise ConfigError(f"--arrivals {kind}: unknown: {', '.join(words)}")
    return Crowd(curve, region, leave[0], leave[1])


def _words(text: str) -> Words:
    """`a=1,b=2`; a first word without a name is called ``."""
    found: Words = {}
    for word in filter(None, text.split(",")):
        name, equals, value = word.partition("=")
        found[name if equals else ""] = value if equals else name
    return found


def _number(words: Words, name: str, default: float | None = None) -> float:
    text = words.pop(name, None)
    if text is None:
        if default is None:
            raise ConfigError(f"--arrivals: expected {name or 'a number'}=")
        return default
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise ConfigError(f"--arrivals: {name}: expected a number from 0, found {text!r}")
    return value


def _constant(words: Words) -> Curve:
    return constant(_number(words, ""))


def _ramp(words: Words) -> Curve:
    start = _number(words, "from", 0.0)
    return ramp(_number(words, "to"), _number(words, "over"), start)


def _flash(words: Words) -> Curve:
    return flash_crowd(
        start=_number(words, "from"),
        to=_number(words, "to"),
        over_s=_number(words, "over"),
        hold_s=_number(words, "hold", 60.0),
        away_s=_number(words, "away", 30.0),
        after_s=_number(words, "after", 10.0),
    )


def _trace(words: Words) -> Curve:
    path = Path(words.pop("", ""))
    stream = words.pop("stream", None)
    scale, speed = _number(words, "scale", 1.0), _number(words, "speed", 1.0)
    if speed == 0:
        raise ConfigError("--arrivals: speed: expected a number above 0, found 0")
    return traced(viewers_of(path, stream), scale, speed)


def _points(words: Words) -> Curve:
    """`0=4,30=80`: seconds and viewers, in order."""
    times = list(words)
    try:
        return Curve(tuple((float(at), _number(words, at)) for at in times))
    except ValueError:
        raise ConfigError(
            f"--arrivals points: expected SECONDS=VIEWERS,..., found {', '.join(times)}"
        ) from None


_KINDS: Mapping[str, Callable[[Words], Curve]] = {
    "constant": _constant,
    "ramp": _ramp,
    "flash": _flash,
    "trace": _trace,
    "points": _points,
}


def leave_of(text: str) -> tuple[Leave, float]:
    """`follow`, `end`, `watch:MEAN_S`: how viewers leave, and how long they watch on average."""
    kind, _, rest = text.partition(":")
    if kind not in tuple(Leave):
        raise ConfigError(f"--leave: expected follow, end or watch:SECONDS, found {text!r}")
    leave = Leave(kind)
    try:
        mean_s = float(rest) if leave is Leave.WATCH else 1.0
    except ValueError:
        mean_s = 0.0
    if not 0 < mean_s < float("inf"):
        raise ConfigError(f"--leave watch: expected a number of seconds above 0, found {rest!r}")
    return leave, mean_s


def shares_of(text: str) -> Mapping[str, float]:
    """`a=0.3,b=0.7`."""
    found = {}
    for name, value in _words(text).items():
        try:
            share = float(value)
        except ValueError:
            share = -1.0
        if not name or not 0 < share < float("inf"):
            raise ConfigError(f"--regions: expected name=share,..., found {text!r}")
        found[name] = share
    if not found:
        raise ConfigError(f"--regions: expected name=share,..., found {text!r}")
    return found


def share_of(text: str) -> float:
    """A share from 0 to 1."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise ConfigError(f"expected a share from 0 to 1, found {text!r}")
    return value


def links_of(text: str) -> tuple[Link, ...]:
    """A rate for everybody (`3M`), or a file of traces."""
    path = Path(text)
    if path.is_file():
        return tuple(map(traced_link, networks_of(path)))
    try:
        rate_bps = float(str(parse_quantity(text)))
    except ValueError as error:
        raise ConfigError(f"--network: expected a file or a rate (3M), found {text!r}") from error
    return (steady(rate_bps),)
