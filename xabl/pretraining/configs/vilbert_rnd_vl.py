r"""ViLBERT on Conceptual Captions from random initial values.

Does starting from BERT, a model of text alone, explain the asymmetry (Frank et al.,
EMNLP 2021)? Here all values start at random (rnd-vl). All else is ctrl_vilbert_base.

Expected: in the ablation (validation, bits) MLM 5.344 without and 6.538 with all
regions ablated; MRC-KL 0.6218 without, 0.6283 with the phrase, 0.6667 with all words
ablated.

Command:

  xabl pretrain --config=vilbert_rnd_vl \
      --workdir=runs/vilbert_rnd_vl --set=corpus=corpora/cc \
      --set=vocabulary=models/bert_base/vocab.txt
"""

from xabl.models.presets import PRESETS
from xabl.pretraining.configuration import PretrainingConfig

config = PretrainingConfig(
    name="vilbert_rnd_vl",
    model=PRESETS["ctrl_vilbert_base"],
)
