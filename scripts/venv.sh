#!/bin/sh
# Makes .venv with Python 3.11 or later. Works where Debian's python3-venv is not installed, too:
# then the environment is made without pip and filled by the system's pip.
set -eu
venv=${1:-.venv}
[ -x "$venv/bin/python" ] && exit 0

find_python() {
    for name in python3.11 python3.12 python3.13 python3.14 python3; do
        if command -v "$name" >/dev/null 2>&1 &&
            "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$name"
            return 0
        fi
    done
    return 1
}

python=$(find_python) || {
    echo "surgecast needs Python 3.11 or later; on Debian or Ubuntu: apt-get install python3 python3-venv" >&2
    exit 1
}
if "$python" -m venv "$venv" >/dev/null 2>&1; then
    exit 0
fi
rm -rf "$venv"
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    apt-get update -q && (apt-get install -y -q "python$version-venv" || apt-get install -y -q python3-venv)
    exec "$python" -m venv "$venv"
fi
if "$python" -m venv --without-pip "$venv" && "$python" -m pip --version >/dev/null 2>&1; then
    exec "$python" -m pip --python "$venv/bin/python" install -q pip
fi
rm -rf "$venv"
echo "cannot make a virtual environment: install the package python3-venv (or python3-pip)" >&2
exit 1
