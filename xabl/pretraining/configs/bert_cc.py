r"""BERT-CC: BERT trained on the captions of Conceptual Captions alone.

The text-only reference of Frank et al. (EMNLP 2021): what the captions' language gives
without any image. 36 words. The published row is its fifth epoch: ablate
runs/bert_cc/epochs/5.

Expected: MLM 5.394 bits after 5 of its 10 epochs (validation); BERT without it has
7.439.

Command:

  xabl pretrain --config=bert_cc \
      --workdir=runs/bert_cc --set=corpus=corpora/cc \
      --set=vocabulary=models/bert_base/vocab.txt
"""

from xabl.models.presets import PRESETS
from xabl.pretraining.configuration import InitialValues, PretrainingConfig
from xabl.pretraining.inputs.config import InputConfig

RUNS = {
    "bert_cc": PretrainingConfig(
        name="bert_cc",
        model=PRESETS["bert_base"],
        inputs=InputConfig(max_words=36),
        initial=InitialValues(bert="models/bert_base"),
    )
}
