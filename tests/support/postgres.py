"""A PostgreSQL of our own for the length of a test, in a temporary folder, on a socket only."""

import contextlib
import getpass
import glob
import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from surgecast.supervise import die_with_parent

_START_MAX_S = 60.0
_UNPRIVILEGED = ("postgres", "nobody")


def why_not() -> str | None:
    """Why there can be no PostgreSQL here; None if there can."""
    if _program("postgres") is None or _program("initdb") is None:
        return "postgres and initdb are not installed"
    if os.geteuid() == 0 and _user() is None:
        return "postgres refuses to run as root, and there is no other user"
    return None


def _program(name: str) -> str | None:
    places = sorted(glob.glob("/usr/lib/postgresql/*/bin"))
    return shutil.which(name, path=os.pathsep.join([*reversed(places), os.environ["PATH"]]))


def _user() -> str | None:
    """Who it runs as."""
    if os.geteuid() != 0:
        return getpass.getuser()
    for name in _UNPRIVILEGED:
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name).pw_name
    return None


@contextmanager
def running_postgres() -> Iterator[str]:
    """The URL of an empty database."""
    user = _user()
    assert user is not None
    as_user = {"user": user} if os.geteuid() == 0 else {}
    # Short: the path of a socket has at most 107 bytes.
    with tempfile.TemporaryDirectory(prefix="pg") as name:
        folder = Path(name)
        if os.geteuid() == 0:
            shutil.chown(folder, user)
        data = folder / "data"
        subprocess.run(
            [_program("initdb"), "-D", data, "-U", user, "-A", "trust", "-N", "-E", "UTF8"],
            check=True,
            cwd=folder,
            capture_output=True,
            **as_user,
        )
        server = subprocess.Popen(
            [_program("postgres"), "-D", data, "-k", folder, "-c", "listen_addresses=", "-F"],
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=die_with_parent(os.getpid()),
            **as_user,
        )
        try:
            _wait(server, folder)
            yield f"postgresql://{user}@/postgres?host={folder}"
        finally:
            server.terminate()
            try:
                server.wait(10)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def _wait(server: "subprocess.Popen[bytes]", folder: Path) -> None:
    import psycopg

    deadline = time.monotonic() + _START_MAX_S
    while True:
        try:
            psycopg.connect(f"host={folder} dbname=postgres user={_user()}").close()
            return
        except psycopg.OperationalError:
            assert server.poll() is None, "postgres ended"
            assert time.monotonic() < deadline, "postgres did not start"
            time.sleep(0.05)  # it tells nobody that it listens
