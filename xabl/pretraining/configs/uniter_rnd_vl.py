r"""UNITER on Conceptual Captions from random initial values.

Does starting from BERT, a model of text alone, explain the asymmetry (Frank et al.,
EMNLP 2021)? Here all values start at random (rnd-vl). All else is ctrl_uniter_base.

Expected: in the ablation (validation, bits) MLM 7.606 without and 9.698 with all
regions ablated; MRC-KL 0.5488 without, 0.5491 with the phrase, 0.5559 with all words
ablated. The N(0, 1) position and token-type tables of UNITER's published start
(--set=initial.scheme=uniform avoids them) are a suspect for the high MLM loss.

Command:

  xabl pretrain --config=uniter_rnd_vl \
      --workdir=runs/uniter_rnd_vl --set=corpus=corpora/cc \
      --set=vocabulary=models/bert_base/vocab.txt
"""

from xabl.models.presets import PRESETS
from xabl.pretraining.configuration import PretrainingConfig

config = PretrainingConfig(
    name="uniter_rnd_vl",
    model=PRESETS["ctrl_uniter_base"],
)
