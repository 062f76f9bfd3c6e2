"""Which region a viewer is in: from the query, a header, its address, or else the default. Pure.

What a viewer says of itself is believed only where the operator allows it: `?region=` by
`query_allowed`, headers if the connection comes from one of `trusted_proxies`. X-Forwarded-For is
read from the right, as each proxy appends the address it saw: the first address from the right
that is no trusted proxy is the viewer; what stands left of it was written by the viewer.
"""

import ipaddress
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Self

from pydantic import AfterValidator, Field, model_validator

from surgecast.config import Settings
from surgecast.control.messages import Label

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
GeoLookup = Callable[[Address], Any]
"""The record of a MaxMind DB for an address; None where it has none."""

_HOPS_MAX = 32
_CACHED_MAX = 65_536


def _network(text: str) -> str:
    """Raises ValueError for what is no network, or has bits set beyond its length."""
    ipaddress.ip_network(text)
    return text


Cidr = Annotated[str, AfterValidator(_network)]
Code = Annotated[str, Field(pattern=r"^[A-Z]{2}$")]


class MaxMindSettings(Settings):
    """A MaxMind DB file (GeoLite2-Country, -City, or any with the same fields)."""

    file: str = Field(min_length=1, description="path of the .mmdb file")
    countries: dict[Code, Label] = Field(
        default_factory=dict, description="ISO code of a country -> region"
    )
    continents: dict[Code, Label] = Field(
        default_factory=dict,
        description="AF, AN, AS, EU, NA, OC, SA -> region, for countries that are not named",
    )


class HeaderSettings(Settings):
    """A header in which a trusted proxy names where the viewer is."""

    name: str = Field(
        pattern=r"^[A-Za-z0-9-]+$", description="of the header, as in CF-IPCountry or X-Region"
    )
    values: dict[str, Label] = Field(
        default_factory=dict, description="value -> region; none: the value is the region"
    )


class RegionSettings(Settings):
    """The regions there are, and how a viewer's is found: query, header, networks, MaxMind DB."""

    names: tuple[Label, ...] = Field(
        default=("default",), min_length=1, max_length=256, description="the regions there are"
    )
    default: Label | None = Field(
        default=None, description="of viewers who are in none; by default the first of `names`"
    )
    near: dict[Label, tuple[Label, ...]] = Field(
        default_factory=dict,
        description="region -> where its viewers go when it has no room, best first; "
        "others come after those",
    )
    query_allowed: bool = Field(
        default=False, description="whether `?region=` is believed; for tests and demos"
    )
    trusted_proxies: tuple[Cidr, ...] = Field(
        default=(), max_length=1024, description="networks whose headers are believed"
    )
    header: HeaderSettings | None = Field(
        default=None, description="header of a trusted proxy that names the region"
    )
    networks: dict[Label, tuple[Cidr, ...]] = Field(
        default_factory=dict, description="region -> networks; the longest that fits counts"
    )
    maxmind: MaxMindSettings | None = Field(
        default=None, description="for addresses that are in no network"
    )

    @model_validator(mode="after")
    def _regions_exist(self) -> Self:
        for name in set(self.names):
            if self.names.count(name) > 1:
                raise ValueError(f"names: {name} is given twice")
        for place, region in self._named():
            if region not in self.names:
                raise ValueError(
                    f"{place} names the region {region}; there are {', '.join(self.names)}"
                )
        return self

    @model_validator(mode="after")
    def _networks_do_not_contradict(self) -> Self:
        owners: dict[object, str] = {}
        for region, networks in self.networks.items():
            for text in networks:
                network = ipaddress.ip_network(text)
                if network in owners:
                    raise ValueError(
                        f"networks: {text} is given to {owners[network]} and to {region}"
                    )
                owners[network] = region
        return self

    @model_validator(mode="after")
    def _headers_have_somebody_to_trust(self) -> Self:
        if self.header is not None and not self.trusted_proxies:
            raise ValueError("header is believed from trusted_proxies only, and there are none")
        return self

    def _named(self) -> list[tuple[str, str]]:
        """Every place where a region is named."""
        named = [("networks", region) for region in self.networks]
        named += [("default", self.default)] if self.default is not None else []
        for region, others in self.near.items():
            named += [("near", name) for name in (region, *others)]
        if self.header is not None:
            named += [("header.values", region) for region in self.header.values.values()]
        if self.maxmind is not None:
            codes = {**self.maxmind.countries, **self.maxmind.continents}
            named += [(f"maxmind, {code},", region) for code, region in codes.items()]
        return named

    @property
    def fallback(self) -> str:
        """The region of viewers who are in none."""
        return self.default if self.default is not None else self.names[0]

    def order_from(self, region: str) -> tuple[str, ...]:
        """Every region, nearest to `region` first."""
        nearest = dict.fromkeys((region, *self.near.get(region, ())))
        return (*nearest, *(name for name in self.names if name not in nearest))


class Networks:
    """Longest-prefix match over networks: one look-up for each prefix length in use."""

    def __init__(self, networks: Mapping[str, str]) -> None:
        """`networks`: network -> what it stands for."""
        tables: dict[tuple[int, int], dict[int, str]] = {}
        for text, value in networks.items():
            network = ipaddress.ip_network(text)
            host_bits = network.max_prefixlen - network.prefixlen
            prefix = int(network.network_address) >> host_bits
            tables.setdefault((network.version, host_bits), {})[prefix] = value
        self._tables = {
            version: [(bits, tables[v, bits]) for v, bits in sorted(tables) if v == version]
            for version in (4, 6)
        }

    def get(self, address: Address) -> str | None:
        number = int(address)
        for host_bits, table in self._tables[address.version]:
            found = table.get(number >> host_bits)
            if found is not None:
                return found
        return None


class Regions:
    """Finds the region of a viewer."""

    def __init__(self, settings: RegionSettings, geo: GeoLookup | None = None) -> None:
        """`geo` looks up the file of `settings.maxmind`."""
        self.settings = settings
        self._geo = geo
        self._names = frozenset(settings.names)
        self._trusted = Networks(dict.fromkeys(settings.trusted_proxies, "trusted"))
        self._networks = Networks(
            {text: region for region, texts in settings.networks.items() for text in texts}
        )
        self._cached: dict[str, str] = {}

    def of(self, peer: str, header: Callable[[str], str] | None = None, query: str = "") -> str:
        """The region of whoever asks.

        `peer` is the address of the connection, `header` gives the (comma-joined) value of a
        header or an empty text, `query` is what `?region=` says.
        """
        if query and self.settings.query_allowed and query in self._names:
            return query
        if header is not None and self.trusts(peer):
            named = self._from_header(header)
            if named is not None:
                return named
            peer = self.viewer(peer, header("X-Forwarded-For"))
        return self._of_address(peer)

    def trusts(self, peer: str) -> bool:
        """Whether headers of this connection are believed."""
        if not self.settings.trusted_proxies:
            return False
        address = parse_address(peer)
        return address is not None and self._trusted.get(address) is not None

    def viewer(self, peer: str, forwarded: str) -> str:
        """The address of the viewer behind trusted proxies (X-Forwarded-For, from the right)."""
        viewer = peer
        for hop in reversed(forwarded.split(",")[-_HOPS_MAX:]):
            address = parse_address(hop)
            if address is None:
                break
            viewer = str(address)
            if self._trusted.get(address) is None:
                break
        return viewer

    def _from_header(self, header: Callable[[str], str]) -> str | None:
        settings = self.settings.header
        if settings is None:
            return None
        value = header(settings.name).strip()
        region = settings.values.get(value) if settings.values else value
        return region if region in self._names else None

    def _of_address(self, text: str) -> str:
        region = self._cached.get(text)
        if region is None:
            if len(self._cached) >= _CACHED_MAX:
                self._cached.clear()
            region = self._cached[text] = self._look_up(text)
        return region

    def _look_up(self, text: str) -> str:
        address = parse_address(text)
        if address is None:
            return self.settings.fallback
        found = self._networks.get(address)
        return found or self._on_the_map(address) or self.settings.fallback

    def _on_the_map(self, address: Address) -> str | None:
        maxmind = self.settings.maxmind
        if maxmind is None or self._geo is None:
            return None
        record = self._geo(address)
        country = maxmind.countries.get(_code(record, "country", "iso_code"))
        return country or maxmind.continents.get(_code(record, "continent", "code"))


def _code(record: Any, place: str, name: str) -> str:
    """A code in a record, whatever else the file holds."""
    inner = record.get(place) if isinstance(record, dict) else None
    code = inner.get(name) if isinstance(inner, dict) else None
    return code if isinstance(code, str) else ""


def parse_address(text: str) -> Address | None:
    """An address as proxies and sockets write it: with a port, in brackets, IPv4 mapped in IPv6."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if address.version == 6 else None
    return mapped if mapped is not None else address
