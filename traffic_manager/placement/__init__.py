"""Which worker encodes what: cores reserved for a channel before it starts, the smallest worker
chosen that keeps its speed, and what to do when it does not keep it. What it will cost is predicted
in `costs`."""
