r"""UNITER with another overlap threshold: does a masked region leak through others?

The visual-leakage runs of Frank et al. (EMNLP 2021): regions that overlap a target by
more than the threshold count as showing it. Set the threshold and the measure
(intersection over union, or over the other region's own area):

  inputs.            Expected in the ablation (validation, bits), ablated:
  overlap_  overlap_ MLM              MRC-KL
  threshold measure  nothing  regions nothing  phrase  words
  0.2       iou      4.628    5.931   0.5818   0.5881  0.6078
  0.4       iou      4.629    6.015   0.5821   0.5888  0.6054    (the default)
  0.6       iou      4.611    5.980   0.5824   0.5890  0.6046
  0.2       iot      4.627    6.084   0.5824   0.5898  0.6010
  0.4       iot      4.615    5.891   0.5825   0.5875  0.5992
  0.6       iot      4.658    6.091   0.5837   0.5897  0.6023
  2         iou      4.585    5.849   0.5837   0.5907  0.6034    (none: never above 2)

As published, the threshold changes [IMG] alone, and overlapping regions stay visible.
--set=inputs.overlap_masking=zero_features hides them, which tests the hypothesis.

Command, for the row before the last:

  xabl pretrain --config=uniter_overlap \
      --set=inputs.overlap_threshold=0.6 --set=inputs.overlap_measure=iot \
      --workdir=runs/uniter_overlap_iot_06 --set=corpus=corpora/cc \
      --set=vocabulary=models/bert_base/vocab.txt \
      --set=seed=42
"""

from xabl.models.presets import PRESETS
from xabl.pretraining.configuration import InitialValues, PretrainingConfig
from xabl.pretraining.inputs.config import InputConfig

RUNS = {
    "uniter_overlap": PretrainingConfig(
        name="uniter_overlap",
        model=PRESETS["ctrl_uniter_base"],
        inputs=InputConfig(overlap_threshold=0.4, overlap_measure="iou"),
        initial=InitialValues(bert="models/bert_base"),
    )
}
