"""What an operator can say to the manager: limits, thresholds and times, each with its unit.

Only values and what must agree within them are here. `surgecast.config.load` turns YAML into them.
"""

from pydantic import Field

from surgecast.config import Settings
from surgecast.units import Seconds


class FleetSettings(Settings):
    """How servers are watched, and what they are believed."""

    report_every_s: Seconds = Field(
        default=1.0, ge=0.1, le=3600, description="how often servers are told to report"
    )
    silent_intervals: float = Field(
        default=4.0, ge=2, le=100, description="intervals without a report after which it is lost"
    )
    start_timeout_s: Seconds = Field(
        default=60.0, description="a relay that was asked for and does not serve by then has failed"
    )
    forget_after_s: Seconds = Field(
        default=300.0, description="servers that stopped or failed are shown for this long"
    )
    servers_max: int = Field(
        default=2000, ge=1, le=100_000, description="servers known; reports of more are refused"
    )
    reports_burst: int = Field(
        default=5, ge=2, le=1000, description="reports of one server that may come at once"
    )
    capacity_slack: float = Field(
        default=1.25, ge=1, le=10, description="a rate above capacity times this is not believed"
    )
    viewers_rise_max_per_s: int = Field(
        default=5000, ge=1, description="a server's viewers rise no faster; the rest is left out"
    )
    skew_max_s: Seconds = Field(
        default=5.0, description="a server's clock that is off by more is told as a warning"
    )
