"""A decision as a page for people: what was done, on which numbers, and what came of it.

Takes what `GET /api/v1/decisions/{id}` gives, or a row of the history; gives what rich prints. It
must not fail on a decision of another version: what is not there is left out.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from surgecast.units import format_bps
from traffic_manager.record.why_chart import chart, span

Values = Mapping[str, Any]

RULES = {
    "demand_above_setpoint": "demand is above setpoint and margin",
    "forecast_above_setpoint": "the forecast is above setpoint and margin",
    "demand_below_setpoint": "demand stayed below, with a relay less",
    "relays_min": "fewer relays than the configuration wants at least",
    "relays_max": "no more relays are allowed, or none can be started",
    "operator_offset": "the operator asked for it",
    "crowd_before_relays": "a crowd comes sooner than relays can",
    "relays_suffice": "servers carry what is coming",
    "cheapest_for_slo": "the cheapest plan that keeps the SLO",
    "channel_wanted": "an origin wants the channel encoded",
    "task_failed": "its task failed, and another follows",
    "worker_lost": "its worker was lost, and another follows",
    "worker_drains": "its worker wants to end",
    "operator_move": "the operator asked for it",
    "no_room": "no worker has room for it now",
    "fits_no_worker": "no worker could hold it, even alone",
    "speed_below_target": "it falls behind its source",
    "room_again": "there is room again",
}
_VERDICTS = {
    "needed": ("✔", "green"),
    "early": ("✔", "yellow"),
    "late": ("✘", "red"),
    "false": ("✘", "yellow"),
    "moot": ("·", "bright_black"),
    "unknown": ("?", "bright_black"),
}
_INPUTS = {
    "demand_bps": "wanted now",
    "ahead_bps": "reckoned with",
    "relays_bps": "relays carry",
    "origins_bps": "origins carry",
    "feeds_bps": "relays pull",
    "relays": "relays",
}
_SHARES = ("setpoint", "margin", "overload_share")
_NOT_JUDGED = ("…", "cyan")
_LISTED_CELLS = 32
_BOUND = "0.9"
_WEIGHTS_SHOWN = 4
_WEIGHT_CELLS = 24
_WEIGHTS_AT_S = 60.0
"""The horizon whose weights are shown, or the one next to it."""


def page(decision: Values) -> RenderableType:
    """Everything about one decision."""
    sections = [
        ("Why", _why(decision)),
        *_numbers(decision),
        ("Outcome", _outcome(decision)),
    ]
    parts: list[RenderableType] = [_headline(decision)]
    for title, body in sections:
        if body is not None:
            parts += [Text(), _section(title, body)]
    return Padding(Group(*parts), (1, 2))


def listing(decisions: Sequence[Values]) -> RenderableType:
    """A line for each, the newest last."""
    one_day = len({_at(decision).date() for decision in decisions}) == 1
    widths = {
        "ID": max(len(str(decision["id"])) for decision in decisions),
        "UTC": len("08:00:00" if one_day else "01 Jan 08:00:00"),
        "decision": _LISTED_CELLS,
    }
    table = Table.grid(padding=(0, 2, 0, 0), expand=True)
    for width in widths.values():
        table.add_column(overflow="ellipsis", no_wrap=True, width=width)
    table.add_column(overflow="ellipsis", no_wrap=True, ratio=1)
    table.add_row(*widths, "why", style="bright_black")
    for decision in decisions:
        mark, colour = _mark(decision)
        at = _at(decision).strftime("%H:%M:%S" if one_day else "%d %b %H:%M:%S")
        what = Text(f"{mark} ", style=colour)
        what.append(_what(decision), style="dim" if decision.get("shadow") else "default")
        why = Text(str(decision.get("why", "")), style="bright_black")
        table.add_row(str(decision["id"]), at, what, why)
    return Padding(table, (1, 2))


def _headline(decision: Values) -> Text:
    mark, colour = _mark(decision)
    verdict = decision.get("verdict") or "not judged"
    text = Text()
    text.append(_what(decision), style="bold")
    text.append(f"   {mark} {verdict}", style=colour)
    when = _at(decision).strftime("%d %B %Y, %H:%M:%S UTC")
    text.append(f"\n{when}   {decision['id']}", style="bright_black")
    if decision.get("shadow"):
        text.append("\nshadow mode: decided, and not done", style="magenta")
    return text


def _what(decision: Values) -> str:
    """The decision in a few words."""
    server, channel = decision.get("server", ""), decision.get("channel", "")
    shadow = bool(decision.get("shadow"))
    match decision["action"]:
        case "start":
            count = decision.get("count", 0)
            relays = "1 relay" if count == 1 else f"{count} relays"
            return f"{'would start' if shadow else 'started'} {relays} in {decision['region']}"
        case "drain":
            return f"{'would let' if shadow else 'let'} {server} go"
        case "budget":
            bps = decision.get("budget_bps")
            if bps is None:
                return f"{'would give' if shadow else 'gave'} {server} its own budget back"
            held = "would hold" if shadow else "held"
            return f"{held} {server} to {format_bps(bps)}"
        case "rung_cap":
            rung = decision.get("rung")
            if rung is None:
                return f"{'would lift' if shadow else 'lifted'} the cap of {channel} on {server}"
            capped = "would cap" if shadow else "capped"
            return f"{capped} {channel} at {rung} on {server}"
        case action:
            return _encoding(str(action), decision)


def _encoding(action: str, decision: Values) -> str:
    """A decision about a channel that a worker encodes, in a few words."""
    channel, server = decision.get("channel", ""), decision.get("server", "")
    rung = decision.get("rung") or ""
    sentences = {
        "place": f"put {channel} on {server}",
        "move": f"moved {channel} to {server}",
        "queue": f"let {channel} wait for room",
        "refuse": f"refused {channel}",
        "cores": f"changed the cores of {channel} on {server}",
        "preset": f"changed the preset of {channel}",
        "shed": f"left out {rung} of {channel}",
        "restore": f"gave {channel} back {rung or 'its preset'}",
        "hold": f"held {channel} as it is",
    }
    return sentences.get(action, action)


def _why(decision: Values) -> RenderableType:
    rule = decision.get("rule", "")
    lines = Text(decision.get("why", ""))
    lines.append(f"\nrule: {rule}", style="bright_black")
    if rule in RULES:
        lines.append(f", {RULES[rule]}", style="bright_black")
    lines.append(f"\nexpected: {decision.get('expected', '')}")
    return lines


def _numbers(decision: Values) -> list[tuple[str, RenderableType | None]]:
    quantiles = decision.get("quantiles") or {}
    return [
        ("Measured", _measured(decision.get("inputs") or {})),
        ("Forecast", _forecast(decision)),
        ("By whom", _forecaster(quantiles)),
    ]


def _measured(inputs: Values) -> RenderableType | None:
    """Two by two: there are many."""
    if not inputs:
        return None
    cells = [cell for name, value in inputs.items() for cell in _input(name, value)]
    cells += [""] * (-len(cells) % 4)
    table = Table.grid(padding=(0, 3, 0, 0))
    for _ in range(2):
        table.add_column(style="bright_black", no_wrap=True)
        table.add_column(justify="right", no_wrap=True)
    for row in zip(*[iter(cells)] * 4, strict=True):
        table.add_row(*row)
    return table


def _input(name: str, value: float) -> tuple[str, str]:
    """Names carry their unit: `lead_time_s` -> lead time, in seconds."""
    words = _INPUTS.get(name) or name.removesuffix("_bps").removesuffix("_s").replace("_", " ")
    if name.endswith("_bps"):
        return words, format_bps(value)
    if name.endswith("_s"):
        return words, f"{value:g} s"
    if name in _SHARES:
        return words, f"{100 * value:.3g}%"
    return words, f"{value:,.6g}"


def carried_bps(inputs: Values) -> float | None:
    """What servers carried for the region when it was decided."""
    if "relays_bps" not in inputs and "origins_bps" not in inputs:
        return None
    room_bps = max(0.0, inputs.get("origins_bps", 0.0) - inputs.get("feeds_bps", 0.0))
    return float(inputs.get("relays_bps", 0.0) + room_bps)


def _forecast(decision: Values) -> RenderableType | None:
    quantiles, inputs = decision.get("quantiles") or {}, decision.get("inputs") or {}
    if not quantiles.get("horizons_s") or not quantiles.get("quantiles_bps"):
        return None
    drawn = chart(
        quantiles["horizons_s"],
        {float(q): values for q, values in quantiles["quantiles_bps"].items()},
        now_bps=inputs.get("demand_bps"),
        carried_bps=carried_bps(inputs),
        lead_time_s=inputs.get("lead_time_s"),
    )
    because = quantiles.get("not_used_because")
    if not because:
        return drawn
    return Group(Text(f"not used: {because}", style="yellow"), drawn)


def _forecaster(quantiles: Values) -> RenderableType | None:
    explanation = quantiles.get("explanation") or {}
    if not explanation:
        return None
    lines = Text(str(explanation.get("kind", "")))
    drift = explanation.get("drift") or {}
    if drift.get("since_s") is not None:
        told = f"   drift: its errors are {drift['ratio']:.1f} times what they used to be"
        lines.append(told, style="yellow")
    repairs = {name: count for name, count in (explanation.get("repairs") or {}).items() if count}
    if repairs:
        told = ", ".join(f"{name.replace('_', ' ')} {count}" for name, count in repairs.items())
        lines.append(f"\nsamples repaired: {told}", style="yellow")
    errors = explanation.get("mean_error_by_horizon_s") or {}
    if errors:
        told = ", ".join(f"{share:.0%} at {span(float(h))}" for h, share in errors.items())
        lines.append(f"\nmean error before: {told}", style="bright_black")
    judged = _judged(quantiles.get("scorecard") or {})
    if judged:
        lines.append(f"\n{judged}", style="bright_black")
    weights = _weights(explanation.get("weights_by_horizon_s") or {})
    return lines if weights is None else Group(lines, weights)


def _judged(scorecard: Values) -> str:
    """How good its forecasts were lately."""
    told = []
    if scorecard.get("mase") is not None:
        told.append(f"lately its errors were {scorecard['mase']:.2f} of those of no forecast")
    covered = (scorecard.get("coverage") or {}).get(_BOUND)
    if covered is not None:
        held = f"the {float(_BOUND):.0%} bound held {covered:.0%} of the time"
        in_rise = (scorecard.get("coverage_in_rise") or {}).get(_BOUND)
        told.append(held if in_rise is None else f"{held}, {in_rise:.0%} in a rise")
    return "; ".join(told)


def _weights(by_horizon: Mapping[str, Mapping[str, float]]) -> RenderableType | None:
    """Whom it listens to: the largest weights at about a minute."""
    if not by_horizon:
        return None
    nearest = min(by_horizon, key=lambda horizon: abs(float(horizon) - _WEIGHTS_AT_S))
    ranked = sorted(by_horizon[nearest].items(), key=lambda item: -item[1])[:_WEIGHTS_SHOWN]
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bright_black")
    for name, weight in ranked:
        bar = "━" * max(0, round(weight * _WEIGHT_CELLS))
        table.add_row(name.replace("_", " "), f"{weight:.0%}".rjust(4), Text(bar, style="cyan"))
    return Group(Text(f"weights {span(float(nearest))} ahead:", style="bright_black"), table)


def _outcome(decision: Values) -> RenderableType:
    verdict = decision.get("verdict")
    facts = decision.get("facts") or decision.get("so_far") or {}
    table = Table.grid(padding=(0, 2))
    table.add_column(justify="right", style="bright_black")
    shadow = bool(decision.get("shadow"))
    for after_s, what in _moments(facts, shadow):
        table.add_row(f"{after_s:+.1f} s", what)
    said = Text()
    if verdict is not None:
        mark, colour = _mark(decision)
        said.append(f"{mark} ", style=colour)
        said.append(_sentence(decision))
    elif decision.get("so_far") is not None:
        said.append("it is still followed; so far:", style="cyan")
    else:
        told = "no verdict: the manager that decided it has ended, or still follows it"
        said.append(told, style="bright_black")
    parts: list[RenderableType] = [said]
    if facts:
        parts += [table, Text(_measures(facts, shadow), style="bright_black")]
    for line in _events(decision):
        parts.append(Text(line, style="bright_black"))
    return Group(*parts)


def _moments(facts: Values, shadow: bool) -> list[tuple[float, str]]:
    """What happened, in the order in which it did."""
    named = {
        "crossed_after_s": "demand passed what the others carry",
        "reached_after_s": "demand came to what was forecast",
        "serving_after_s": "its relays would serve" if shadow else "its relays serve",
        "first_viewer_after_s": "first viewer",
        "short_after_s": "servers could not carry what was wanted",
        "ended_after_s": "it had ended",
        "missed_after_s": "it was missed",
        "peak_after_s": "highest demand",
    }
    found = [
        (float(facts[name]), text) for name, text in named.items() if facts.get(name) is not None
    ]
    return sorted([(0.0, "decided"), *found], key=lambda moment: moment[0])


def _measures(facts: Values, shadow: bool) -> str:
    told = []
    if facts.get("forecast_bps"):
        told.append(f"forecast {format_bps(facts['forecast_bps'])}")
    if facts.get("peak_bps") is not None:
        share = facts.get("peak_share")
        of = "" if share is None else f", {share:.0%} of what could be carried without it"
        told.append(f"highest demand {format_bps(facts['peak_bps'])}{of}")
    if facts.get("short_s") is not None:
        short_s = facts["short_s"]
        told.append(f"servers over budget for {short_s:g} s" if short_s else "never over budget")
    served = facts.get("serving_after_s") is not None and not shadow
    if served and facts.get("first_viewer_after_s", 0.0) is None:
        told.append("no viewer came to it")
    return "; ".join(told)


def _sentence(decision: Values) -> str:
    """What the verdict said; what happened before stands behind it."""
    said, before = str(decision.get("outcome") or ""), _events(decision)
    return said.removesuffix("; ".join(before)).rstrip("; ") if before else said


def _events(decision: Values) -> list[str]:
    """`relay-east-1: serves after 2.0 s`, as it was told while it happened."""
    parts = str(decision.get("outcome") or "").split("; ")
    return [part for part in parts if ": " in part]


def _section(title: str, body: RenderableType) -> RenderableType:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(width=9, style="bold cyan")
    table.add_column()
    table.add_row(title, body)
    return table


def _mark(decision: Values) -> tuple[str, str]:
    return _VERDICTS.get(decision.get("verdict") or "", _NOT_JUDGED)


def _at(decision: Values) -> datetime:
    return datetime.fromtimestamp(decision["at_utc"], UTC)
