"""The manager's API under `/api/v1`: routes, the models of its bodies, live events, and its
description."""
