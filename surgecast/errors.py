"""Errors by whose fault they are: ours, the other side's, or the configuration's.

The type decides what a server answers and whether a retry can help.
"""


class SurgecastError(Exception):
    """Base of every error surgecast raises on purpose; its text is meant for a person."""


class LocalError(SurgecastError):
    """We broke a rule of our own: a bug, or a resource of this machine that ran out."""


class RemoteError(SurgecastError):
    """The other side (a source, an upstream, a viewer) sent something it should not have."""


class ConfigError(SurgecastError):
    """The configuration cannot be used. The text names file, field, value and what is allowed."""


def first_of(error: BaseException) -> BaseException:
    """The error at the bottom of (nested) groups; ours before others, as its text helps people."""
    if not isinstance(error, BaseExceptionGroup):
        return error
    ours = error.subgroup(SurgecastError)
    return first_of((ours or error).exceptions[0])
