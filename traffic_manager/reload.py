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
_OF_PLACEMENT = {"predictor", "constant_s"}
"""The same within a section that is otherwise in force at once: what is learned was begun so."""


@dataclass(frozen=True, slots=True)
class Changes:
    """Names of sections."""

    changed: tuple[str, ...]
    """In force from now on."""
    needs_restart: tuple[str, ...]


def diff(old: ManagerSettings, new: ManagerSettings) -> Changes:
    """What leads from `old` to `new`."""
    names = [n for n in ManagerSettings.model_fields if getattr(old, n) != getattr(new, n)]
    changed = [name for name in names if name not in _PROCESS]
    needs_restart = [name for name in names if name in _PROCESS]
    if "placement" in changed:
        sections = (old.placement, new.placement)
        later = [n for n in sorted(_OF_PLACEMENT) if len({getattr(s, n) for s in sections}) > 1]
        needs_restart += [f"placement.{name}" for name in later]
        rest, rest_new = (section.model_dump(exclude=_OF_PLACEMENT) for section in sections)
        if rest == rest_new:
            changed.remove("placement")
    return Changes(tuple(changed), tuple(needs_restart))
