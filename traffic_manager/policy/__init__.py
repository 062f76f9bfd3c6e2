"""How many relays there are to be and what servers may send: what is looked at, the rule, and the
decisions that come out."""
