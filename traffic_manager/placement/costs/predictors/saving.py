"""A predictor as bytes: JSON of numbers and text, with its digest. Pure.

A pickle would be code that runs when it is read; here the worst a foreign file can do is to be
refused. The digest finds what was cut off or changed by mistake; who wrote it is the business of
the model store.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

FORM = 1
BYTES_MAX = 256 * 2**20


def written(kind: str, state: Mapping[str, Any]) -> bytes:
    """Digest, a line feed, and what is digested."""
    body = json.dumps(
        {"form": FORM, "kind": kind, "state": state}, allow_nan=False, separators=(",", ":")
    ).encode()
    return hashlib.sha256(body).hexdigest().encode() + b"\n" + body


def kind_of(content: bytes) -> str:
    """Of a saved predictor. Raises ValueError for what is none."""
    return str(_body(content)["kind"])


def read(kind: str, content: bytes) -> Any:
    """What `written` was given. Raises ValueError for anything else."""
    body = _body(content)
    if body["kind"] != kind:
        raise ValueError(f"a saved predictor of kind {body['kind']!r}; expected: {kind!r}")
    return body["state"]


@contextmanager
def in_words() -> Iterator[None]:
    """Whatever goes wrong with a state that is not as it was written is a ValueError."""
    try:
        yield
    except (KeyError, IndexError, TypeError, OverflowError, AttributeError) as error:
        raise ValueError(f"not a saved predictor: {type(error).__name__}: {error}") from error
    except Exception as error:  # zlib.error, binascii.Error, of whatever a content holds
        raise ValueError(f"not a saved predictor: {error}") from error


def _body(content: bytes) -> Mapping[str, Any]:
    if len(content) > BYTES_MAX:
        raise ValueError(f"{len(content)} bytes; a saved predictor has at most {BYTES_MAX}")
    digest, _, body = content.partition(b"\n")
    if hashlib.sha256(body).hexdigest().encode() != digest:
        raise ValueError("not a saved predictor, or not whole: its digest is not that of the rest")
    with in_words():
        found = json.loads(body)
        if found["form"] != FORM:
            raise ValueError(f"form {found['form']!r}; this surgecast reads form {FORM}")
        return {"kind": str(found["kind"]), "state": found["state"]}
