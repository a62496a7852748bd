"""What intervals are made with unless asked otherwise; `--help` imports no numpy."""

RESAMPLES = 2000
FEWEST_RESAMPLES = 100  # that may be asked for
CONFIDENCE = 0.95
