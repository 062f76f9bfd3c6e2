"""`surgecast demo`: the whole system on one machine, as the separate processes it is made of. A
crowd comes, relays are started before it, and it leaves again; the terminal shows how."""
