"""Where a viewer is: who is believed, which network counts, what contradicts itself."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surgecast.config import loads
from surgecast.errors import ConfigError
from tests.support.maxmind_file import maxmind_file
from traffic_manager.joining.maxmind import find_regions, open_maxmind
from traffic_manager.joining.regions import MaxMindSettings, Regions, RegionSettings

SETTINGS = """
names: [a, b, c]
default: c
query_allowed: true
trusted_proxies: [10.0.0.0/8, "fd00::/8"]
header: {name: CF-IPCountry, values: {DE: a, FR: b}}
networks:
  a: [192.0.2.0/24, "2001:db8::/32"]
  b: [192.0.2.128/25, 198.51.100.7/32]
"""


def regions(text: str = SETTINGS) -> Regions:
    return Regions(loads(text, RegionSettings))


def headers(**values: str) -> Callable[[str], str]:
    found = {name.replace("_", "-").lower(): value for name, value in values.items()}
    return lambda name: found.get(name.lower(), "")


@pytest.mark.parametrize(
    ("address", "region"),
    [
        ("192.0.2.1", "a"),
        ("192.0.2.129", "b"),  # the longest prefix counts
        ("198.51.100.7", "b"),
        ("198.51.100.8", "c"),
        ("2001:db8::1", "a"),
        ("2001:db9::1", "c"),
        ("::ffff:192.0.2.1", "a"),  # what a socket of both families says
        ("fe80::1%eth0", "c"),
        ("not an address", "c"),
        ("", "c"),
    ],
)
def test_an_address_is_in_the_region_of_its_network(address: str, region: str) -> None:
    assert regions().of(address) == region


def test_the_query_is_believed_only_where_it_is_allowed() -> None:
    assert regions().of("192.0.2.1", query="b") == "b"
    assert regions().of("192.0.2.1", query="nowhere") == "a"
    strict = regions(SETTINGS.replace("query_allowed: true", "query_allowed: false"))
    assert strict.of("192.0.2.1", query="b") == "a"


def test_a_header_is_believed_only_from_a_trusted_proxy() -> None:
    said = headers(CF_IPCountry="FR")
    assert regions().of("10.1.2.3", said) == "b"
    assert regions().of("192.0.2.1", said) == "a"
    assert regions().of("10.1.2.3", headers(CF_IPCountry="XX")) == "c"


def test_forwarded_addresses_are_read_from_the_right() -> None:
    """What stands left of the first untrusted address was written by the viewer itself."""
    found = regions()
    assert found.of("10.0.0.1", headers(X_Forwarded_For="192.0.2.1")) == "a"
    forged = headers(X_Forwarded_For="192.0.2.1, 198.51.100.7, 10.0.0.2")
    assert found.of("10.0.0.1", forged) == "b"
    assert found.of("198.51.100.7", headers(X_Forwarded_For="192.0.2.1")) == "b", "not trusted"


@pytest.mark.parametrize(
    ("forwarded", "viewer"),
    [
        ("", "10.0.0.1"),
        ("unknown", "10.0.0.1"),
        ("192.0.2.1, unknown", "10.0.0.1"),
        ("10.0.0.3,10.0.0.2", "10.0.0.3"),
        ("192.0.2.1:4711", "192.0.2.1"),
        ("[2001:db8::1]:4711, fd00::1", "2001:db8::1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
    ],
)
def test_odd_forwarded_addresses(forwarded: str, viewer: str) -> None:
    assert regions().viewer("10.0.0.1", forwarded) == viewer


@given(st.text(max_size=200))
def test_any_header_gives_a_region(text: str) -> None:
    said = headers(X_Forwarded_For=text, CF_IPCountry=text)
    assert regions().of("10.0.0.1", said, text) in ("a", "b", "c")


def test_the_order_of_regions_begins_with_the_nearest() -> None:
    settings = loads("{names: [a, b, c, d], near: {d: [b]}}", RegionSettings)
    assert settings.order_from("d") == ("d", "b", "a", "c")
    assert settings.order_from("a") == ("a", "b", "c", "d")
    assert settings.fallback == "a"


BAD = {
    "networks names the region z; there are a, b": "{names: [a, b], networks: {z: [10.0.0.0/8]}}",
    "default names the region z": "{names: [a], default: z}",
    "near names the region z": "{names: [a], near: {a: [z]}}",
    "maxmind, DE, names the region z": "{names: [a], maxmind: {file: x, countries: {DE: z}}}",
    "header.values names the region z": "{names: [a], trusted_proxies: [10.0.0.0/8], "
    "header: {name: X, values: {DE: z}}}",
    "10.0.0.0/8 is given to a and to b": "{names: [a, b], networks: "
    "{a: [10.0.0.0/8], b: [10.0.0.0/8]}}",
    "a is given twice": "{names: [a, a]}",
    "has host bits set": "{names: [a], networks: {a: [10.0.0.1/8]}}",
    "does not appear to be an IPv4 or IPv6 network": "{trusted_proxies: [proxy.example]}",
    "believed from trusted_proxies only": "{header: {name: X-Region}}",
}


@pytest.mark.parametrize("message", BAD)
def test_contradictions_are_refused_when_they_are_loaded(message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loads(BAD[message], RegionSettings)
    assert message in str(caught.value)


# With a MaxMind DB.

MAXMIND = "{file: FILE, countries: {DE: a}, continents: {EU: b}}"
RECORDS = {
    "203.0.113.0/24": {"country": {"iso_code": "DE"}, "continent": {"code": "EU"}},
    "198.51.100.0/24": {"country": {"iso_code": "FR"}, "continent": {"code": "EU"}},
    "2001:db8:1::/48": {"continent": {"code": "AS"}},
    "192.0.2.0/24": {"country": "odd", "continent": {"code": 7}},
}


@pytest.fixture
def mapped(tmp_path: Path) -> Regions:
    file = tmp_path / "test.mmdb"
    file.write_bytes(maxmind_file(RECORDS))
    text = f"{{names: [a, b, c], default: c, maxmind: {MAXMIND.replace('FILE', str(file))}, "
    settings = loads(text + "networks: {c: [203.0.113.9/32]}}", RegionSettings)
    return find_regions(settings)


@pytest.mark.parametrize(
    ("address", "region"),
    [
        ("203.0.113.1", "a"),  # by country
        ("203.0.113.9", "c"),  # a network of ours comes first
        ("198.51.100.1", "b"),  # by continent
        ("2001:db8:1::1", "c"),  # a continent that is not named
        ("192.0.2.1", "c"),  # a record of another shape
        ("8.8.8.8", "c"),  # no record
    ],
)
def test_a_country_or_continent_is_in_a_region(mapped: Regions, address: str, region: str) -> None:
    assert mapped.of(address) == region


@pytest.mark.parametrize("content", [b"", b"not a database", b"\xab\xcd\xefMaxMind.com"])
def test_a_file_that_is_none_is_an_error_for_people(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "bad.mmdb"
    file.write_bytes(content)
    with pytest.raises(ConfigError, match=r"maxmind\.file .*bad\.mmdb: cannot be used"):
        open_maxmind(MaxMindSettings(file=str(file)))


def test_a_missing_file_is_an_error_for_people() -> None:
    with pytest.raises(ConfigError, match="cannot be used"):
        open_maxmind(MaxMindSettings(file="/nowhere/x.mmdb"))
