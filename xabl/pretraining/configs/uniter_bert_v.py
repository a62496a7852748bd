r"""UNITER on the images of Conceptual Captions alone, from BERT.

First stage of bert-v-vl (Frank et al., EMNLP 2021): see uniter_bert_v_vl.
Regions alone: no matching loss, no words (one padded position), the region loss only.

Expected: no row of its own; the second stage has one.

Command:

  xabl pretrain --config=uniter_bert_v \
      --workdir=runs/uniter_bert_v --set=corpus=corpora/cc \
      --set=vocabulary=models/bert_base/vocab.txt
"""

from xabl.models.presets import PRESETS
from xabl.pretraining.configuration import InitialValues, PretrainingConfig
from xabl.pretraining.inputs.config import InputConfig

config = PretrainingConfig(
    name="uniter_bert_v",
    model=PRESETS["ctrl_uniter_base"],
    inputs=InputConfig(vision_only=True),
    initial=InitialValues(bert="models/bert_base"),
)
