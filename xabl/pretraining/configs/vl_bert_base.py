r"""VL-BERT at its original size, with its own recipe.

25 words, learning rate 2.56e-5, decay 1e-4, 8,000 updates of warm-up, gradients clipped
at 10, no replaced captions (objective 2) (as Bugliarello et al., TACL 2021, give it).
Its region target is the detector's class (6).

Expected: no row in Frank et al. (EMNLP 2021), who ablate the controlled models; the
parameter count is 114,490,747.

Command:

  xabl pretrain --config=vl_bert_base \
      --workdir=runs/vl_bert_base --set=corpus=corpora/cc \
      --set=vocabulary=models/bert_base/vocab.txt
"""

from xabl.models.presets import PRESETS
from xabl.pretraining.configuration import InitialValues, PretrainingConfig
from xabl.pretraining.inputs.config import InputConfig
from xabl.pretraining.optimiser import OptimiserConfig

config = PretrainingConfig(
    name="vl-bert_base",
    model=PRESETS["vl-bert_base"],
    inputs=InputConfig(objective=2, max_words=25),
    optimiser=OptimiserConfig(
        learning_rate=2.56e-5, weight_decay=1e-4, warmup_steps=8000, clip_norm=10.0
    ),
    initial=InitialValues(bert="models/bert_base"),
)
