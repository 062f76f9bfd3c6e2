"""Opens the prior that is shipped in this package."""

from importlib.resources import files

from surgecast.errors import LocalError, RemoteError
from traffic_manager.placement.costs.model_store import unpacked
from traffic_manager.placement.costs.prior_model import Prior


def shipped_prior() -> Prior:
    """Raises LocalError where the installation is damaged."""
    path = files("traffic_manager.placement.costs") / "prior" / "x264.model"
    try:
        return Prior.load(unpacked(path.read_bytes()).content)
    except (OSError, RemoteError, ValueError, KeyError, TypeError) as error:
        raise LocalError(f"the shipped prior cannot be used: {path}: {error}") from error
