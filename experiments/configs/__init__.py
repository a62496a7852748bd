"""One file per pretraining run; see each file's docstring for its command."""
