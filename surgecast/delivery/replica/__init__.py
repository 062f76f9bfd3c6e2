"""What one server tells another of a channel, so that both write the same playlists, and
objects that are still on their way."""
