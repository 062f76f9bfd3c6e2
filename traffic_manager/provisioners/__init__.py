"""How relays are started and ended: as child processes, by templates of commands, and whatever
comes later, all behind the small interface in `base`."""
