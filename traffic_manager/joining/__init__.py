"""Where a viewer goes: the region he is in, the server he is sent to when he joins, and where
steering moves him."""
