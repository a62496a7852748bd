r"""UNITER on Conceptual Captions after the images alone (bert-v-vl).

Second stage (Frank et al., EMNLP 2021): starts from runs/uniter_bert_v/model,
which the run uniter_bert_v writes.

The published rows come from a second stage that loaded the feed-forward sublayers of
the first shuffled. --set=initial.feed_forward=published repeats that; by default they
are loaded where they belong.

Expected: in the ablation (validation, bits) MLM 4.857 without and 5.923 with all
regions ablated; MRC-KL 0.4723 without, 0.4723 with the phrase, 0.4835 with all words
ablated. (With the feed-forward sublayers shuffled.)

Command:

  xabl pretrain --config=uniter_bert_v_vl \
      --workdir=runs/uniter_bert_v_vl --set=corpus=corpora/cc \
      --set=vocabulary=models/bert_base/vocab.txt
"""

from xabl.models.presets import PRESETS
from xabl.pretraining.configuration import InitialValues, PretrainingConfig

config = PretrainingConfig(
    name="uniter_bert_v_vl",
    model=PRESETS["ctrl_uniter_base"],
    initial=InitialValues(model="runs/uniter_bert_v/model"),
)
