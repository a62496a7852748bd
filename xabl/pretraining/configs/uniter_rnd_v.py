r"""UNITER on the images of Conceptual Captions alone, from random values.

First stage of rnd-v-vl (Frank et al., EMNLP 2021): see uniter_rnd_v_vl.
Regions alone: no matching loss, no words (one padded position), the region loss only.

Expected: no row of its own; the second stage has one.

Command:

  xabl pretrain --config=uniter_rnd_v \
      --workdir=runs/uniter_rnd_v --set=corpus=corpora/cc \
      --set=vocabulary=models/bert_base/vocab.txt
"""

from xabl.models.presets import PRESETS
from xabl.pretraining.configuration import PretrainingConfig
from xabl.pretraining.inputs.config import InputConfig

config = PretrainingConfig(
    name="uniter_rnd_v",
    model=PRESETS["ctrl_uniter_base"],
    inputs=InputConfig(vision_only=True),
)
