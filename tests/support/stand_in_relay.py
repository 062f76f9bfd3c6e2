"""A relay for tests of provisioners: it reports to its manager, and does nothing else.

Called as a relay is: `python stand_in_relay.py -c relay.yaml`. In the file, `behave: ends` makes it
end at once, `behave: stubborn` makes it ignore SIGTERM. It imports nothing slow.
"""

import json
import os
import signal
import sys
import urllib.request

import yaml


def main() -> int:
    with open(sys.argv[2], encoding="utf-8") as file:
        settings = yaml.safe_load(file)
    behave = settings.get("behave", "")
    if behave == "ends":
        sys.stderr.write("relay.yaml:1: ladder: no such thing\n")
        return 3
    if behave == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    report(settings)
    while True:
        signal.pause()


def report(settings: dict) -> None:
    """Say, once, who runs here."""
    says = {
        "server": settings["server"]["id"],
        "region": settings["server"]["region"],
        "url": settings["server"]["public_url"],
        "pid": os.getpid(),
        "upstreams": settings["upstreams"],
        "token": os.environ.get("SURGECAST_CONTROL_TOKEN"),
        "key": os.environ.get("SURGECAST_KEY_A"),
        "argv": sys.argv,
    }
    address = settings["control"]["manager"] + "/api/v1/reports"
    request = urllib.request.Request(address, json.dumps(says).encode(), method="POST")
    urllib.request.urlopen(request, timeout=30).close()


if __name__ == "__main__":
    sys.exit(main())
