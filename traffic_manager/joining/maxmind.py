"""Opens the MaxMind DB file that `traffic_manager.joining.regions` looks up in."""

from typing import Any

import maxminddb

from surgecast.errors import ConfigError
from traffic_manager.joining.regions import (
    Address,
    GeoLookup,
    MaxMindSettings,
    Regions,
    RegionSettings,
)


def find_regions(settings: RegionSettings) -> Regions:
    """Regions as the operator describes them. Raises ConfigError for a file that cannot be used."""
    maxmind = settings.maxmind
    return Regions(settings, open_maxmind(maxmind) if maxmind is not None else None)


def open_maxmind(settings: MaxMindSettings) -> GeoLookup:
    """The look-up in the file. Raises ConfigError if it cannot be read, or is no such file.

    A file that is replaced is used after the next reload: the old one stays open until then.
    """
    try:
        reader = maxminddb.open_database(settings.file)
    except (OSError, ValueError, maxminddb.InvalidDatabaseError) as error:
        raise ConfigError(f"maxmind.file {settings.file}: cannot be used: {error}") from error
    only_ipv4 = reader.metadata().ip_version == 4

    def look_up(address: Address) -> Any:
        if only_ipv4 and address.version == 6:
            return None
        try:
            return reader.get(address)
        except maxminddb.InvalidDatabaseError:
            return None  # a damaged record is no record

    return look_up
