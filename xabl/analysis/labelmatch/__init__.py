"""LabelMatch: phrases that name a detector class, and what the detector says there."""

from xabl.analysis.labelmatch.gold_labels import make_gold_labels as make_gold_labels
from xabl.analysis.labelmatch.tables import write_tables as write_tables
