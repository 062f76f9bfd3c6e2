"""Which worker encodes what: the cost of a channel predicted before it starts, cores reserved for
it, the smallest worker chosen that keeps its speed, and what to do when it does not keep it."""
