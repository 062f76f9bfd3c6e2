"""The static validator `hls-parser` in strict mode, a second opinion on every playlist."""

import json
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

_HERE = Path(__file__).resolve().parent
_LIMIT_S = 60


def installed() -> str | None:
    """None when it can run here, else why not."""
    if shutil.which("node") is None:
        return "not installed: node"
    if not (_HERE / "node_modules/hls-parser").exists():
        return "not installed: hls-parser (npm ci --prefix tests/players)"
    return None


def validate(texts: Sequence[str]) -> list[str]:
    """What is wrong with these playlists, one line for each that is; empty when all are right."""
    result = subprocess.run(
        ["node", "hls_parser.mjs"],
        cwd=_HERE,
        input=json.dumps(list(texts)),
        capture_output=True,
        text=True,
        check=True,
        timeout=_LIMIT_S,
    )
    verdicts: list[str | None] = json.loads(result.stdout)
    return [f"playlist {i}: {verdict}" for i, verdict in enumerate(verdicts) if verdict]
