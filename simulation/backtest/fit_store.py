"""Fits that were made before, on disk: a backtest that is run again does not make them again.

A fit is known by all that goes into it: the job with its data, the code of the forecasters, the
versions of what computes. Anything else is another fit, so nothing stale is ever used.
"""

import hashlib
import json
import os
import pickle
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

import traffic_manager.forecasting
from surgecast.errors import ConfigError
from traffic_manager.forecasting.fits import FitJob, Fitted

Run = Callable[[FitJob], Fitted]


def run_here(job: FitJob) -> Fitted:
    """At once, and kept nowhere."""
    return job.run()


class FitStore:
    """One folder, which is made where there is none; one file for each fit."""

    def __init__(self, folder: Path) -> None:
        """Raises ConfigError for a folder that cannot be made."""
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"--fits {folder}: cannot be made: {error}") from error
        self._folder = folder
        self._code = _digest_of_code()

    def __call__(self, job: FitJob) -> Fitted:
        digest = hashlib.sha256(self._code + pickle.dumps(job, protocol=5)).hexdigest()
        path = self._folder / f"{job.expert}-{digest[:32]}.json"
        try:
            return Fitted(job.expert, json.loads(path.read_bytes()))
        except FileNotFoundError:
            found = job.run()
        except (OSError, ValueError) as error:
            raise ConfigError(f"--fits: {path} cannot be read: {error}") from error
        beside = path.with_suffix(".part")
        beside.write_text(json.dumps(found.state), encoding="utf-8")
        os.replace(beside, path)
        return found


def _digest_of_code() -> bytes:
    sources = sorted(Path(str(traffic_manager.forecasting.__file__)).parent.glob("*.py"))
    digest = hashlib.sha256(np.__version__.encode())
    for source in sources:
        digest.update(source.read_bytes())
    for package in ("scikit-learn", "torch"):
        try:
            digest.update(version(package).encode())
        except PackageNotFoundError:
            digest.update(b"none")
    return digest.digest()
