"""What holds for every test: bounded examples on a machine of any speed, and no process left."""

import os
import uuid

import pytest
from hypothesis import HealthCheck, settings

from tests.support import leftovers

settings.register_profile(
    "any machine",
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("any machine")


def pytest_configure() -> None:
    os.environ[leftovers.MARK] = uuid.uuid4().hex


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """A process that a test started and did not end fails the run, and is ended here."""
    left = leftovers.ended(os.environ[leftovers.MARK])
    if left:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
        told = "\n".join(f"  {pid}: {line}" for pid, line in left.items())
        reporter = session.config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None:
            reporter.write_line(f"\nFAILED: processes outlived the tests:\n{told}", red=True)
