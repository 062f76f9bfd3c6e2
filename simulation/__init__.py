"""The digital twin: the production decisions run under a manual clock, with viewers as vectors; and
`backtest`, which judges forecasters on recorded audiences."""
