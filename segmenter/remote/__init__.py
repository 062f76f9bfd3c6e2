"""Cut media on its way from a worker to an origin: its form on the wire, and the sender."""
