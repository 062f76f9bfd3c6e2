"""Fixtures of more than one module."""

from collections.abc import Iterator

import pytest

from tests.support import crowd


@pytest.fixture
def many_files() -> Iterator[None]:
    with crowd.many_files():
        yield
