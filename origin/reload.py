"""What a new configuration changes: a diff, decided before anything is touched (pure)."""

from dataclasses import dataclass

from origin.settings import OriginSettings


@dataclass(frozen=True, slots=True)
class Changes:
    """Names of channels by what must be done with them."""

    start: tuple[str, ...] = ()
    stop: tuple[str, ...] = ()
    replace: tuple[str, ...] = ()
    """Stopped and started: rungs, window or sessions differ."""
    change_source: tuple[str, ...] = ()
    """Viewers stay: only source, slate or what is done on overload differ."""
    needs_restart: tuple[str, ...] = ()
    """Settings of the process itself, which hold until it is started again."""

    def to_dict(self) -> dict[str, list[str]]:
        return {
            "started": list(self.start),
            "stopped": list(self.stop),
            "replaced": list(self.replace),
            "source_changed": list(self.change_source),
            "needs_restart": list(self.needs_restart),
        }


def diff(old: OriginSettings, new: OriginSettings) -> Changes:
    """What leads from `old` to `new`."""
    both = [name for name in new.channels if name in old.channels]
    changed = [name for name in both if old.channels[name] != new.channels[name]]
    soft = [name for name in changed if old.channels[name].same_media(new.channels[name])]
    process = tuple(name for name in OriginSettings.model_fields if name != "channels")
    return Changes(
        start=tuple(name for name in new.channels if name not in old.channels),
        stop=tuple(name for name in old.channels if name not in new.channels),
        replace=tuple(name for name in changed if name not in soft),
        change_source=tuple(soft),
        needs_restart=tuple(name for name in process if getattr(old, name) != getattr(new, name)),
    )
