r"""UNITER on Conceptual Captions after the images alone (rnd-v-vl).

Second stage (Frank et al., EMNLP 2021): starts from runs/uniter_rnd_v/model,
which the run uniter_rnd_v writes.

The published rows come from a second stage that loaded the feed-forward sublayers of
the first shuffled. --set=initial.feed_forward=published repeats that; by default they
are loaded where they belong.

Expected: in the ablation (validation, bits) MLM 7.635 without and 9.774 with all
regions ablated; MRC-KL 0.4521 without, 0.4524 with the phrase, 0.4535 with all words
ablated. (With the feed-forward sublayers shuffled.)

Command:

  xabl pretrain --config=uniter_rnd_v_vl \
      --workdir=runs/uniter_rnd_v_vl --set=corpus=corpora/cc \
      --set=vocabulary=models/bert_base/vocab.txt
"""

from xabl.models.presets import PRESETS
from xabl.pretraining.configuration import InitialValues, PretrainingConfig

config = PretrainingConfig(
    name="uniter_rnd_v_vl",
    model=PRESETS["ctrl_uniter_base"],
    initial=InitialValues(model="runs/uniter_rnd_v/model"),
)
