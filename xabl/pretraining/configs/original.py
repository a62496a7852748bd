r"""Models at their original sizes, with their own recipes.

As Bugliarello et al. (TACL 2021) give them. LXMERT has three region targets: the
detector's class, its attribute and the feature itself; its corpus needs attributes.
VL-BERT has no replaced captions; its region target is the detector's class (6).

Expected: no row in Frank et al. (EMNLP 2021), who ablate the controlled models; the
parameter counts are 239,023,229 (vilbert_base), 212,265,996 (lxmert) and 114,490,747
(vl_bert_base).

Command:

  xabl pretrain --config=lxmert \
      --workdir=runs/lxmert --set=corpus=corpora/cc \
      --set=vocabulary=models/bert_base/vocab.txt
"""

from xabl.models.presets import PRESETS
from xabl.pretraining.configuration import InitialValues, PretrainingConfig
from xabl.pretraining.inputs.config import InputConfig
from xabl.pretraining.optimiser import OptimiserConfig

_BERT = InitialValues(bert="models/bert_base")

RUNS = {
    "vilbert_base": PretrainingConfig(
        name="vilbert_base",
        model=PRESETS["vilbert_base"],
        inputs=InputConfig(max_words=36),
        optimiser=OptimiserConfig(epsilon=1e-8, beta2=0.98, clip_norm=None),
        initial=_BERT,
        batch_size=512,
    ),
    "lxmert": PretrainingConfig(
        name="lxmert",
        model=PRESETS["lxmert"],
        inputs=InputConfig(max_words=20),
        optimiser=OptimiserConfig(warmup_fraction=0.05, clip_norm=1.0),
        initial=_BERT,
        epochs=20,
    ),
    "vl_bert_base": PretrainingConfig(
        name="vl-bert_base",
        model=PRESETS["vl-bert_base"],
        inputs=InputConfig(objective=2, max_words=25),
        optimiser=OptimiserConfig(
            learning_rate=2.56e-5, weight_decay=1e-4, warmup_steps=8000, clip_norm=10.0
        ),
        initial=_BERT,
    ),
}
