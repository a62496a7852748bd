r"""UNITER trained on the detector's class instead of its distribution.

Does the form of the region loss explain the missing language-for-vision (Frank et al.,
EMNLP 2021)? Cross-entropy weighted by the detector's confidence (visual target 3) in
place of KL; everything else is ctrl_uniter_base.

Expected: in the ablation (validation, bits) MLM 4.614 without and 5.862 with all
regions ablated; MRC-XE, confidence-weighted and so not comparable with other models,
0.518 without, 0.525 with the phrase, 0.540 with all words ablated.

Command:

  xabl pretrain --config=ctrl_uniter_xent_base \
      --workdir=runs/ctrl_uniter_xent_base --set=corpus=corpora/cc \
      --set=vocabulary=models/bert_base/vocab.txt \
      --set=seed=42
"""

from xabl.models.presets import PRESETS
from xabl.pretraining.configuration import InitialValues, PretrainingConfig

config = PretrainingConfig(
    name="ctrl_uniter_xent_base",
    model=PRESETS["ctrl_uniter_xent_base"],
    initial=InitialValues(bert="models/bert_base"),
)
