"""From per-example scores to answers: tables in bits with intervals, figures.

from xabl import analysis
scores = analysis.load("results")           # pandas: one row per example, condition
study = analysis.load_study("results")      # aligned runs, for the tables below
resamples = analysis.effects.bootstrap_of(study)
analysis.effects.differences(study, resamples)  # each ablation against `none`
analysis.misled.lost_and_misled(study, resamples)  # what goes, what misleads
analysis.asymmetry.asymmetry(study, resamples)  # both directions compared
analysis.comparisons.compare_models(study, resamples)
"""

from xabl.analysis import answer as answer
from xabl.analysis import asymmetry as asymmetry
from xabl.analysis import comparisons as comparisons
from xabl.analysis import effects as effects
from xabl.analysis import misled as misled
from xabl.analysis import verdicts as verdicts
from xabl.analysis.bootstrap import Draws as Draws
from xabl.analysis.bootstrap import ImageBootstrap as ImageBootstrap
from xabl.analysis.study import Model as Model
from xabl.analysis.study import Study as Study
from xabl.analysis.study import load as load
from xabl.analysis.study import load_study as load_study
