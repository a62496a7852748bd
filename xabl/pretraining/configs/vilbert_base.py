r"""ViLBERT at its original sizes, with its own recipe.

Batches of 512, 36 words, Adam with epsilon 1e-8 and betas 0.9 and 0.98, no clipping (as
Bugliarello et al., TACL 2021, give it).

Expected: no row in Frank et al. (EMNLP 2021), who ablate the controlled models; the
parameter count is 239,023,229.

Command:

  xabl pretrain --config=vilbert_base \
      --workdir=runs/vilbert_base --set=corpus=corpora/cc \
      --set=vocabulary=models/bert_base/vocab.txt
"""

from xabl.models.presets import PRESETS
from xabl.pretraining.configuration import InitialValues, PretrainingConfig
from xabl.pretraining.inputs.config import InputConfig
from xabl.pretraining.optimiser import OptimiserConfig

config = PretrainingConfig(
    name="vilbert_base",
    model=PRESETS["vilbert_base"],
    inputs=InputConfig(max_words=36),
    optimiser=OptimiserConfig(epsilon=1e-8, beta2=0.98, clip_norm=None),
    initial=InitialValues(bert="models/bert_base"),
    batch_size=512,
)
