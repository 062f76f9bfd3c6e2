"""Forecasters: from what a series was to quantiles of what it will be, all behind the small
interface in `base`."""
