"""A machine room for tests of the command provisioner: `start`, `probe` and `stop` as commands.

`python stand_in_cloud.py FOLDER VERB SERVER [REGION URL MANAGER UPSTREAMS]`. What it starts runs on
in the background with the command's output still open, as a careless script leaves it. A file
FOLDER/behave holds what relays are told to do; FOLDER/starts gets a line for each start.
"""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import yaml

RELAY = Path(__file__).with_name("stand_in_relay.py")


def start(folder: Path, server: str, region: str, url: str, manager: str, upstreams: str) -> int:
    with open(folder / "starts", "a", encoding="utf-8") as file:
        file.write(f"{server}\n")
    behave = (folder / "behave").read_text(encoding="utf-8")
    if behave == "refuses":
        sys.stderr.write("quota of machines exceeded\n")
        return 1
    if behave == "nothing":
        return 0
    settings = {
        "server": {"id": server, "region": region, "public_url": url},
        "control": {"manager": manager},
        "upstreams": upstreams.split(","),
        "behave": behave,
    }
    config = folder / f"{server}.yaml"
    config.write_text(yaml.safe_dump(settings), encoding="utf-8")
    relay = subprocess.Popen([sys.executable, str(RELAY), "-c", str(config)])
    (folder / f"{server}.pid").write_text(str(relay.pid), encoding="utf-8")
    relay.returncode = 0
    return 0


def probe(folder: Path, server: str) -> int:
    if (folder / "behave").read_text(encoding="utf-8") == "unreachable":
        return 255
    try:
        pid = int((folder / f"{server}.pid").read_text(encoding="utf-8"))
        state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
    except FileNotFoundError:
        state = "X"
    if state in ("Z", "X"):
        sys.stderr.write(json.dumps({"server": server, "state": "gone"}) + "\n")
        return 1
    return 0


def stop(folder: Path, server: str) -> int:
    if (folder / "behave").read_text(encoding="utf-8") == "undying":
        sys.stderr.write("no permission to end machines\n")
        return 1
    if probe(folder, server) == 0:
        pid = int((folder / f"{server}.pid").read_text(encoding="utf-8"))
        descriptor = os.pidfd_open(pid)
        signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        os.close(descriptor)
    return 0


if __name__ == "__main__":
    _, folder, verb, *rest = sys.argv
    sys.exit({"start": start, "probe": probe, "stop": stop}[verb](Path(folder), *rest))
