"""The digital twin: the production decisions run under a manual clock, with viewers as vectors; and
`backtest` and `evaluate`, which judge forecasters and predictors of cost on recorded data."""
