"""Writes a tiny MaxMind DB (format 2.0, records of 32 bits, IPv6 tree) for tests.

https://maxmind.github.io/MaxMind-DB/: a binary tree over 128 bits (IPv4 at ::/96), 16 zero bytes,
the data section, and behind its marker the metadata.
"""

import ipaddress
from typing import Any

_MARKER = b"\xab\xcd\xefMaxMind.com"
_KINDS = {"node_count": 6, "build_epoch": 9}
"""Numbers that must not be 16 bits wide."""
_UTF8, _UINT16, _MAP, _ARRAY = 2, 5, 7, 11


def maxmind_file(records: dict[str, dict[str, Any]]) -> bytes:
    """`records`: network -> what the file says of it."""
    nodes: list[list[int | bytes | None]] = [[None, None]]
    for text, record in records.items():
        _insert(nodes, _path(text), _encoded(record))
    data, places = b"", {}
    for leaf in (leaf for node in nodes for leaf in node if isinstance(leaf, bytes)):
        if leaf not in places:
            places[leaf] = len(data)
            data += leaf
    tree = b"".join(
        _pointer(leaf, len(nodes), places).to_bytes(4, "big") for node in nodes for leaf in node
    )
    return tree + bytes(16) + data + _MARKER + _encoded(_metadata(len(nodes)))


def _metadata(nodes: int) -> dict[str, Any]:
    return {
        "node_count": nodes,
        "record_size": 32,
        "ip_version": 6,
        "database_type": "Test-Country",
        "languages": [],
        "binary_format_major_version": 2,
        "binary_format_minor_version": 0,
        "build_epoch": 1_800_000_000,
        "description": {"en": "for tests"},
    }


def _path(text: str) -> str:
    """The bits of a network, from the root."""
    network = ipaddress.ip_network(text)
    shift = 96 if network.version == 4 else 0
    return f"{int(network.network_address):0128b}"[: shift + network.prefixlen]


def _insert(nodes: list[list[int | bytes | None]], path: str, leaf: bytes) -> None:
    node = 0
    for bit in path[:-1]:
        following = nodes[node][int(bit)]
        if not isinstance(following, int):
            nodes.append([following, following])
            following = nodes[node][int(bit)] = len(nodes) - 1
        node = following
    nodes[node][int(path[-1])] = leaf


def _pointer(leaf: int | bytes | None, nodes: int, places: dict[bytes, int]) -> int:
    if leaf is None:
        return nodes
    return leaf if isinstance(leaf, int) else nodes + 16 + places[leaf]


def _encoded(value: Any, kind: int = _UINT16) -> bytes:
    match value:
        case dict():
            pairs = (_encoded(k) + _encoded(v, _KINDS.get(k, _UINT16)) for k, v in value.items())
            return _control(_MAP, len(value)) + b"".join(pairs)
        case list():
            return _control(_ARRAY, len(value)) + b"".join(map(_encoded, value))
        case str():
            raw = value.encode()
            return _control(_UTF8, len(raw)) + raw
    raw = value.to_bytes((value.bit_length() + 7) // 8, "big")
    return _control(kind, len(raw)) + raw


def _control(kind: int, size: int) -> bytes:
    """Kind and size; kinds above 7 are written in a second byte. Sizes here stay below 285."""
    length, more = (size, b"") if size < 29 else (29, bytes([size - 29]))
    if kind > 7:
        return bytes([length, kind - 7]) + more
    return bytes([kind << 5 | length]) + more
