"""What a new configuration changes: decided before anything is touched. Pure."""

from dataclasses import dataclass

from traffic_manager.manager_settings import ManagerSettings

_PROCESS = (
    "http",
    "public_url",
    "api",
    "log",
    "state_dir",
    "provisioner",
    "history",
    "settle_s",
)
"""What holds until the process is started again."""


@dataclass(frozen=True, slots=True)
class Changes:
    """Names of sections."""

    changed: tuple[str, ...]
    """In force from now on."""
    needs_restart: tuple[str, ...]


def diff(old: ManagerSettings, new: ManagerSettings) -> Changes:
    """What leads from `old` to `new`."""
    names = [n for n in ManagerSettings.model_fields if getattr(old, n) != getattr(new, n)]
    return Changes(
        changed=tuple(name for name in names if name not in _PROCESS),
        needs_restart=tuple(name for name in names if name in _PROCESS),
    )
