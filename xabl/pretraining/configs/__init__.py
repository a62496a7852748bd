"""The published pretraining runs, and one on a synthetic world.

`--config=NAME` takes one of `RUNS` of these files by its name. Docstrings give the
hypotheses that the runs test, the expected numbers and the command:

    controlled       five architectures
    asymmetry        form of the region loss, initial values, order of the modalities
    uniter_overlap   visual leakage
    bert_cc          text alone
    original         the original sizes and recipes
    synthetic_world  no download
"""
