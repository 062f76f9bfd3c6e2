"""Nothing of the machine a file was written on is in it."""

import json
import re
from urllib.parse import urlsplit

import pytest

from tests.repo import tree

TEXT = (".py", ".md", ".toml", ".yaml", ".yml", ".json", ".lock", ".sh", ".svg", ".html", ".css")
TEXT += (".js", ".mjs", ".txt", ".cfg", ".ini", "")
MACHINE_PATH = re.compile(r"(?<![\w.\-}])/(?:work|root|tmp|mnt|Users|home/\w+)/\w")
PRIVATE_HOST = re.compile(r"https?://[\w.-]+\.(?:internal|intranet|local|localdomain|corp|lan)\b")
REGISTRIES = {"registry.npmjs.org", "pypi.org", "files.pythonhosted.org"}
INDEX_OPTION = re.compile(r"--(?:extra-)?index-url|--trusted-host|--find-links|^https?:", re.M)


def test_no_path_and_no_host_of_one_machine():
    found = []
    for path in tree.named(*TEXT):
        if "vendor" in path.parts or path.name == "test_hygiene.py":
            continue
        for number, line in enumerate(tree.text(path).splitlines(), 1):
            if MACHINE_PATH.search(line) or PRIVATE_HOST.search(line):
                found.append(f"{tree.place(path)}:{number}: {line.strip()[:90]}")
    assert not found


@pytest.mark.parametrize(
    ("line", "bad"),
    [
        ("see /work/notes", True),
        ("'/root/x'", True),
        ("/home/somebody/x", True),
        ("state_dir: /var/lib/surgecast", False),
        ("/etc/surgecast/origin.yaml", False),
        ("docs/work/in-progress", False),
        ("{base}/tmp/x", False),
    ],
)
def test_machine_paths_are_told_from_others(line, bad):
    assert bool(MACHINE_PATH.search(line)) is bad


def test_locks_name_public_registries_only():
    for lock in [path for path in tree.files() if path.suffix == ".lock"]:
        assert not INDEX_OPTION.search(tree.text(lock)), f"{tree.place(lock)} names an index"
    for lock in [path for path in tree.files() if path.name == "package-lock.json"]:
        packages = json.loads(tree.text(lock))["packages"].values()
        hosts = {
            urlsplit(package["resolved"]).netloc for package in packages if "resolved" in package
        }
        assert hosts <= REGISTRIES, f"{tree.place(lock)} names {hosts - REGISTRIES}"
