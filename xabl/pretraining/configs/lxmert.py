r"""LXMERT at its original size, with its own recipe.

20 words, 20 epochs, 5% warm-up, gradients clipped at 1 (as Bugliarello et al., TACL
2021, give it); three region targets: the detector's class, its attribute and the
feature itself. The corpus needs attributes.

Expected: no row in Frank et al. (EMNLP 2021), who ablate the controlled models; the
parameter count is 212,265,996.

Command:

  xabl pretrain --config=lxmert \
      --workdir=runs/lxmert --set=corpus=corpora/cc \
      --set=vocabulary=models/bert_base/vocab.txt
"""

from xabl.models.presets import PRESETS
from xabl.pretraining.configuration import InitialValues, PretrainingConfig
from xabl.pretraining.inputs.config import InputConfig
from xabl.pretraining.optimiser import OptimiserConfig

config = PretrainingConfig(
    name="lxmert",
    model=PRESETS["lxmert"],
    inputs=InputConfig(max_words=20),
    optimiser=OptimiserConfig(warmup_fraction=0.05, clip_norm=1.0),
    initial=InitialValues(bert="models/bert_base"),
    epochs=20,
)
