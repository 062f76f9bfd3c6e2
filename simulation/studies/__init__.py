"""Runs of the twin side by side: policies on the same seeds, tables and pictures of them, two runs
subtracted, and the history of a live manager as a scenario."""
