"""The commands of `xabl` as scripts: `python -m experiments.ablate` and the like."""
