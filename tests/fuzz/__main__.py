"""`python -m tests.fuzz TARGET --seconds N`: one target, or `all` of them, one after another.

Findings are written to `.fuzz/TARGET/`, and their number is the exit status. A finding that was
mended gets a test beside the code that had it.
"""

import argparse
import hashlib
import importlib.util
import logging
import re
import subprocess
import sys
from pathlib import Path

from tests.fuzz.engine import INPUT_CPU_S, fuzz
from tests.fuzz.mutate import SIZE_MAX
from tests.fuzz.real import real_seeds
from tests.fuzz.target import Target
from tests.fuzz.targets import TARGETS

ROOT = Path(__file__).parents[2]
_RSS_LIMIT_MB = 1024
_STATISTIC = re.compile(r"^stat::(\w+):\s+(\d+)", re.MULTILINE)
_PROGRESS = re.compile(r"#\d+\s+\w+\s+cov: (\d+) ft: (\d+) corp: (\d+)")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("target", choices=[*TARGETS, "all"])
    parser.add_argument("--seconds", type=float, default=60.0, help="for each target")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--plain", action="store_true", help="without coverage")
    given = parser.parse_args()
    logging.disable()
    guided = not given.plain and importlib.util.find_spec("atheris") is not None
    names = list(TARGETS) if given.target == "all" else [given.target]
    found = 0
    for name in names:
        folder = ROOT / ".fuzz" / name
        folder.mkdir(parents=True, exist_ok=True)
        work = _guided if guided else _plain
        found += work(TARGETS[name], folder, given.seconds, given.seed)
    return min(found, 100)


def _plain(target: Target, folder: Path, seconds: float, seed: int) -> int:
    outcome = fuzz(target, seconds=seconds, seed=seed)
    for finding in outcome.findings:
        path = folder / f"finding-{hashlib.sha256(finding.data).hexdigest()[:12]}"
        path.write_bytes(finding.data)
        _say(f"{target.name}: {finding.what} ({path.relative_to(ROOT)})")
    _say(
        f"{target.name}: {outcome.executions} executions in {outcome.seconds:.0f} s, "
        f"{len(outcome.outcomes)} outcomes, slowest {outcome.slowest_cpu_s * 1000:.0f} ms, "
        f"{outcome.rss_bytes >> 20} MB, {len(outcome.findings)} findings"
    )
    return len(outcome.findings)


def _guided(target: Target, folder: Path, seconds: float, seed: int) -> int:
    corpus = folder / "corpus"
    corpus.mkdir(exist_ok=True)
    for data in (*target.seeds(), *real_seeds(target.name)):
        (corpus / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)
    command = [
        *(sys.executable, "-m", "tests.fuzz.guided", target.name, str(corpus)),
        *(f"-max_total_time={int(seconds)}", f"-max_len={SIZE_MAX}", f"-seed={seed + 1}"),
        *(f"-timeout={int(INPUT_CPU_S * 4)}", f"-rss_limit_mb={_RSS_LIMIT_MB}"),
        *(f"-artifact_prefix={folder}/finding-", "-print_final_stats=1"),
    ]
    # Its own bound of time comes first; ours is for a process that does not keep it.
    ended = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, errors="replace", timeout=seconds + 300
    )
    words = ended.stderr + ended.stdout
    statistics = dict(_STATISTIC.findall(words))
    progress = (_PROGRESS.findall(words) or [("?", "?", "?")])[-1]
    _say(
        f"{target.name}: {statistics.get('number_of_executed_units', '?')} executions in "
        f"{seconds:.0f} s, coverage {progress[0]} edges ({progress[1]} features, corpus "
        f"{progress[2]}), {statistics.get('peak_rss_mb', '?')} MB, "
        f"{'no finding' if ended.returncode == 0 else 'a finding'}"
    )
    if ended.returncode:
        _say(words[-6000:])
    return int(ended.returncode != 0)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
