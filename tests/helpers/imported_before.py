"""Imports what binaries import, for the server that they are forked from.

JAX is imported and not asked for its devices: from then on it has threads, which no
fork takes along.
"""

import flax.linen  # noqa: F401
import jax  # noqa: F401
import matplotlib.figure  # noqa: F401
import orbax.checkpoint  # noqa: F401
import pandas  # noqa: F401

import xabl.ablation.run
import xabl.analysis.report
import xabl.pretraining.train
import xabl.studies.sweep  # noqa: F401
