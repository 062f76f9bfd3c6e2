"""Arrays of numbers as JSON: exact, and half as long as digits. Pure."""

import base64
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]


def packed(values: Values) -> dict[str, Any]:
    """Shape and content of an array: JSON."""
    content = zlib.compress(np.ascontiguousarray(values, dtype="<f8").tobytes(), level=1)
    return {"shape": list(values.shape), "content": base64.b64encode(content).decode()}


def unpacked(state: Mapping[str, Any]) -> Values:
    """What `packed` was given. Raises ValueError for what it did not give."""
    content = zlib.decompress(base64.b64decode(state["content"], validate=True))
    values: Values = np.frombuffer(content, dtype="<f8").reshape(state["shape"]).copy()
    return values
