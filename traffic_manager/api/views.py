"""What the API tells: the manager's state as answers. Pure."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from traffic_manager.api.models import (
    ChannelAnswer,
    ChannelOnServer,
    DecisionAnswer,
    ForecastsAnswer,
    LoadAnswer,
    OffsetAnswer,
    OneDecisionAnswer,
    RegionAnswer,
    ServerAnswer,
    StatusAnswer,
)
from traffic_manager.demand import NOTHING, Load
from traffic_manager.fleet import COMING, Server
from traffic_manager.manager import Manager
from traffic_manager.policy.supply import supply_of


def server_answer(server: Server, now_s: float) -> ServerAnswer:
    report = server.report
    return ServerAnswer(
        server=server.id,
        role=server.role,
        url=server.url,
        region=server.region,
        state=server.state,
        state_for_s=round(now_s - server.since_s, 3),
        ordered=server.ordered,
        decision=server.order,
        reason=server.reason,
        viewers=server.viewers,
        capacity_bps=server.capacity_bps,
        budget_bps=server.budget_bps,
        egress_bps=server.egress_bps,
        upstream_bps=report.upstream_bps if report else 0.0,
        upstream_fetches=report.upstream_fetches if report else 0,
        objects_fetched=report.objects_fetched if report else 0,
        reported_ago_s=_since(server.reported_at_s, now_s),
        clock_skew_s=round(server.skew_s, 3),
        serving_after_s=_since(server.requested_at_s, server.serving_at_s),
        first_viewer_after_s=_since(server.requested_at_s, server.first_viewer_at_s),
        channels=[
            ChannelOnServer(
                channel=channel.channel,
                ready=channel.ready,
                viewers=sum(channel.viewers.values()),
                egress_bps=channel.egress_bps,
                rung_cap=channel.rung_cap,
            )
            for channel in server.channels
        ],
    )


def region_answers(manager: Manager, utc: float) -> list[RegionAnswer]:
    loads = manager.demand.by_region()
    offsets = manager.wishes.offsets_at(utc)
    supply = supply_of(list(manager.fleet), manager.settings.policy, with_coming=False)
    answers = []
    for region in sorted({*manager.regions(), *loads}):
        relays = [s for s in manager.fleet if s.role == "relay" and s.region == region]
        cells = manager.demand.cells.items()
        answers.append(
            RegionAnswer(
                **_load(loads.get(region, NOTHING)),
                region=region,
                relays=sum(s.takes_sessions for s in relays),
                relays_coming=sum(s.state in COMING for s in relays),
                supply_bps=supply.relays_bps.get(region, 0.0),
                offset=offsets.get(region, 0),
                channels={c: LoadAnswer(**_load(load)) for (r, c), load in cells if r == region},
            )
        )
    return answers


def channel_answers(manager: Manager) -> list[ChannelAnswer]:
    loads = manager.demand.by_channel()
    names = sorted({*loads, *manager.channels()})
    return [_channel(manager, name, loads.get(name, NOTHING)) for name in names]


def _channel(manager: Manager, name: str, load: Load) -> ChannelAnswer:
    rungs: Counter[str] = Counter()
    shown: list[str] = []
    ladder: list[str] = []
    ready = False
    for server in manager.fleet:
        channel = server.channel(name) if server.here else None
        if channel is None:
            continue
        shown.append(server.id)
        ready = ready or channel.ready
        ladder = ladder or [rung.rung for rung in channel.ladder]
        for rung in channel.ladder:
            rungs[rung.rung] += rung.sessions
    return ChannelAnswer(
        **_load(load),
        channel=name,
        ready=ready,
        ladder=ladder,
        rung_cap=manager.wishes.rung_caps.get(name),
        rungs=dict(rungs),
        servers=shown,
    )


def one_decision(
    decision: Mapping[str, Any], so_far: Mapping[str, Any] | None, *, remembered: bool
) -> OneDecisionAnswer:
    """`decision` is a record's values, or a row of the history."""
    known = {name: decision[name] for name in DecisionAnswer.model_fields}
    return OneDecisionAnswer(**known, so_far=so_far, remembered=remembered)


def forecasts_answer(manager: Manager, utc: float) -> ForecastsAnswer:
    settings, known = manager.settings.forecasting, manager.forecasts.regions()
    return ForecastsAnswer(
        kind=settings.kind,
        quantile=settings.quantile,
        lead_time_s=round(manager.lead_time_s, 3),
        regions={name: manager.forecast_told(name, utc) for name in known},
    )


def status_answer(manager: Manager, uptime_s: float, history_problem: str | None) -> StatusAnswer:
    total, times, wishes = manager.demand.total(), manager.start_times, manager.wishes
    return StatusAnswer(
        boot=manager.boot,
        uptime_s=round(uptime_s, 3),
        paused=wishes.paused,
        shadow=wishes.shadow,
        offsets={
            name: OffsetAnswer(relays=offset.relays, until_utc=offset.until_utc)
            for name, offset in wishes.offsets.items()
        },
        rung_caps=dict(wishes.rung_caps),
        servers=dict(Counter(server.state for server in manager.fleet)),
        viewers=total.viewers,
        egress_bps=sum(s.egress_bps for s in manager.fleet if s.here),
        decisions=manager.logbook.count,
        lead_time_s=round(manager.lead_time_s, 3),
        relays_measured=times.measured,
        decision_to_serving_median_s=_rounded(times.serving_s),
        decision_to_first_viewer_median_s=_rounded(times.first_viewer_s),
        reports=manager.reports,
        reports_refused=manager.screening.refused,
        history_problem=history_problem,
    )


def _load(load: Load) -> dict[str, float | int]:
    return {
        "viewers": load.viewers,
        "joins_per_s": round(load.joins_per_s, 3),
        "egress_bps": round(load.egress_bps),
        "wanted_bps": round(load.wanted_bps),
    }


def _since(before_s: float | None, now_s: float | None) -> float | None:
    return None if before_s is None or now_s is None else round(now_s - before_s, 3)


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)
