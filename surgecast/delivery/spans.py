"""What a request says about the object it names: which bytes, and whether they are known."""

from aiohttp import hdrs, web

from surgecast.delivery.assets import Asset
from surgecast.delivery.ranges import parse_range


def count(asset: Asset, response: web.StreamResponse, size: int) -> web.StreamResponse:
    asset.tally.requests += 1
    asset.tally.bytes_out += size
    return response


def is_known(request: web.Request, entity_tag: str) -> bool:
    """If-None-Match, compared weakly as RFC 9110 section 13.1.2 wants."""
    given = ",".join(request.headers.getall(hdrs.IF_NONE_MATCH, ()))
    tags = [tag.strip().removeprefix("W/") for tag in given.split(",")]
    return entity_tag in tags or tags == ["*"]


def asked_span(request: web.Request, asset: Asset, size: int) -> tuple[int, int] | None:
    """Which bytes to send; None for all of them."""
    if not asset.ranged or request.method != hdrs.METH_GET:
        return None
    condition = request.headers.get(hdrs.IF_RANGE)
    if condition is not None and condition != asset.entity_tag(gzip=False):
        return None
    return parse_range(request.headers.getall(hdrs.RANGE, ()), size)
