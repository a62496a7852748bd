r"""UNITER with regions counted as overlapping a target: none.

Does a masked region leak through regions that overlap it (visual leakage; Frank et al.,
EMNLP 2021)? One of seven runs: thresholds 0.2, 0.4 (the default), 0.6, for IoU and IoT,
and none.

As published, the threshold changes [IMG] alone, and the overlapping regions stay
visible. --set=inputs.overlap_masking=zero_features hides them, which is what the
hypothesis is about.

Expected: in the ablation (validation, bits) MLM 4.585 without and 5.849 with all
regions ablated; MRC-KL 0.5837 without, 0.5907 with the phrase, 0.6034 with all words
ablated.

Command:

  python -m experiments.pretrain \
      --config=experiments/configs/uniter_overlap_none.py \
      --workdir=runs/uniter_overlap_none --set=corpus=corpora/cc \
      --set=vocabulary=models/bert_base/vocab.txt \
      --set=seed=42
"""

from xabl.models.presets import PRESETS
from xabl.pretraining.configuration import InitialValues, PretrainingConfig
from xabl.pretraining.inputs.config import NO_OVERLAP, InputConfig

config = PretrainingConfig(
    name="uniter_overlap_none",
    model=PRESETS["ctrl_uniter_base"],
    inputs=InputConfig(overlap_threshold=NO_OVERLAP, overlap_measure="iou"),
    initial=InitialValues(bert="models/bert_base"),
)
