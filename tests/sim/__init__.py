"""The digital twin under faults, by seed: what must hold at every step, and that it all plays again
when the faults are over."""
