"""A real nginx with a configuration of ours, on free ports of loopback, ended with the block."""

import asyncio
import os
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from surgecast.supervise import die_with_parent

WAIT_S = 60.0
NGINX = shutil.which("nginx", path=os.environ.get("PATH", "") + os.pathsep + "/usr/sbin")

_AROUND = """
{user}
worker_processes 1;
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 2048; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
{http}
}}
"""


def self_signed(folder: Path) -> tuple[Path, Path]:
    """A certificate for `localhost` and its key, made by openssl."""
    certificate, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-subj", "/CN=localhost", "-out", str(certificate), "-keyout", str(key)),
        ],
        check=True,
        capture_output=True,
    )
    return certificate, key


@asynccontextmanager
async def running_nginx(
    folder: Path, http: str, port: int, *, tls: bool = False
) -> AsyncIterator[None]:
    """nginx with `http` as the inside of its http block, once it accepts on `port`."""
    assert NGINX is not None
    # Its worker must see a folder that is its owner's alone.
    user = "user root;" if os.getuid() == 0 else ""
    config = folder / "nginx.conf"
    config.write_text(_AROUND.format(user=user, folder=folder, http=http), encoding="utf-8")
    process = await asyncio.create_subprocess_exec(
        *(NGINX, "-c", str(config), "-e", str(folder / "error.log")),
        preexec_fn=die_with_parent(os.getpid()),
    )
    try:
        async with asyncio.timeout(WAIT_S):
            while not await _accepts(port, tls):
                if process.returncode is not None:
                    raise AssertionError((folder / "error.log").read_text())
                await asyncio.sleep(0.02)
        yield
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()


async def _accepts(port: int, tls: bool) -> bool:
    context = ssl._create_unverified_context() if tls else None
    with suppress(OSError):
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
        return True
    return False
