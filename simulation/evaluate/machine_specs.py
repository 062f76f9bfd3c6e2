"""What can be told of a machine from its data sheet, as numbers. Pure."""

import math
import re
from collections.abc import Mapping

_XEON_E5 = {"": 2012.0, "2": 2013.0, "3": 2014.0, "4": 2016.0}
"""Year of each version."""
_XEON_SCALABLE = {"1": 2017.0, "2": 2019.0}
_EPYC = {"1": 2017.0, "2": 2019.0}
_OLDER = 2010.0


def specs(row: Mapping[str, str]) -> dict[str, float]:
    """Of a line of `x264_machines/machines.csv`; NaN where the sheet does not say."""
    cores = float(row["sockets"]) * float(row["cores_per_socket"])
    clock = re.search(r"@ ([\d.]+)GHz", row["model_name"])
    return {
        "amd": float("AMD" in row["cpu"]),
        "base_ghz": float(clock.group(1)) if clock else math.nan,
        "cores_log2": math.log2(cores),
        "l3_log2": math.log2(float(row["l3"].rstrip("K"))),
        "threads_per_core": float(row["threads_per_core"]),
        "turbo_mhz_log2": math.log2(float(row["max_mhz"])) if row["max_mhz"] else math.nan,
        "year": year(row["cpu"]),
    }


def year(cpu: str) -> float:
    """In which a processor of that name came out: its generation."""
    if found := re.search(r"E5-\d+\w?(?: v(\d))?", cpu):
        return _XEON_E5[found.group(1) or ""]
    if found := re.search(r"(?:Bronze|Silver|Gold|Platinum) \d(\d)", cpu):
        return _XEON_SCALABLE.get(found.group(1), math.nan)
    if found := re.search(r"EPYC \d{3}(\d)", cpu):
        return _EPYC.get(found.group(1), math.nan)
    return _OLDER if "Xeon X5" in cpu else math.nan
