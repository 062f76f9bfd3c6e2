"""The configuration files of the demo's processes. `surgecast origin -c`, `surgecast manager -c`
take files like these. Pure.

Numbers are small, so that one machine is enough: the origin's budget carries some fifteen viewers
of the best rung, a relay some twenty-five.
"""

from dataclasses import dataclass
from pathlib import Path

from surgecast.demo.story import COAST, HOME

CHANNEL = "demo"

_ORIGIN = """\
# The origin of `surgecast demo`.
http: {{host: {host}, port: {origin_port}}}
state_dir: {state_dir}
server: {{id: origin, region: {home}}}
egress: {{capacity_bps: 70M, utilisation_target: 0.9}}
control: {{manager: "{manager}", report_every_s: 0.5}}
channels:
  {channel}:
    source: {{kind: test, width: 1280, height: 720, frame_rate: 25}}
    ladder: {{rungs: default}}
    low_latency: {{enabled: true}}
    sessions: {{session_expiry_s: 8}}
"""

_MANAGER = """\
# The manager of `surgecast demo`.
http: {{host: {host}, port: {manager_port}}}
state_dir: {folder}
settle_s: 1
fleet: {{report_every_s: 0.5}}
regions: {{names: [{home}, {coast}], query_allowed: true}}
steering: {{ttl_s: 4, ttl_stress_s: 2}}
policy:
  setpoint: 0.7
  margin: 0.1
  regions:
    {home}: {{relays_min: 0, relays_max: 0}}
    {coast}: {{relays_min: 0, relays_max: 1}}
  capacity_default_bps: 80M
  rung_caps: false
  hold_in_s: 6
  cooldown_in_s: 6
directives: {{ttl_s: 5}}
provisioner:
  kind: local
  ports_first: {relays_first}
  ports_last: {relays_last}
  state_dir: {folder}/relays
  outlive_manager: false
  relay:
    egress: {{capacity_bps: 80M, utilisation_target: 0.9}}
    sessions: {{session_expiry_s: 8}}
    life: {{quiet_s: 2}}
history: {{url: "sqlite:///{folder}/history.db"}}
"""


@dataclass(frozen=True, slots=True)
class Places:
    """Where the processes are."""

    host: str
    origin_port: int
    manager_port: int
    relays_first: int
    folder: Path
    state_dir: Path

    @property
    def origin(self) -> str:
        return self._url(self.origin_port)

    @property
    def manager(self) -> str:
        return self._url(self.manager_port)

    def _url(self, port: int) -> str:
        return f"http://{'127.0.0.1' if self.host == '0.0.0.0' else self.host}:{port}"


def write_configs(places: Places) -> tuple[Path, Path]:
    """The files of origin and manager."""
    values = {
        "host": places.host,
        "origin_port": places.origin_port,
        "manager_port": places.manager_port,
        "manager": places.manager,
        "relays_first": places.relays_first,
        "relays_last": places.relays_first + 15,
        "folder": places.folder,
        "state_dir": places.state_dir,
        "channel": CHANNEL,
        "home": HOME,
        "coast": COAST,
    }
    paths = (places.folder / "origin.yaml", places.folder / "manager.yaml")
    for path, text in zip(paths, (_ORIGIN, _MANAGER), strict=True):
        path.write_text(text.format(**values), encoding="utf-8")
    return paths
