r"""A small single-stream model on a synthetic world: minutes on a laptop, no download.

Three layers of width 64 from random values. To make the world and its corpus:

  xabl world --output=/tmp/world --images=1200 --feature_size=128
  xabl corpus --source=/tmp/world/regions.h5 \
      --captions=/tmp/world/flickr30k_entities --output=/tmp/world/corpus \
      --split=train --image_ids=/tmp/world/flickr30k_entities/train.txt
  xabl corpus --source=/tmp/world/regions.h5 \
      --captions=/tmp/world/flickr30k_entities --output=/tmp/world/corpus \
      --split=valid --image_ids=/tmp/world/flickr30k_entities/val.txt

Expected: the validation loss of the words falls from the logarithm of the number of
word pieces (5.5 nats) to about 1.2.

Command:

  xabl pretrain --config=synthetic_world \
      --workdir=/tmp/world/run --set=corpus=/tmp/world/corpus \
      --set=vocabulary=/tmp/world/vocab.txt

A world of other sizes needs model.vocab_size and model.v_feature_size to be set.
"""

from xabl.pretraining.configuration import InitialValues, PretrainingConfig
from xabl.pretraining.inputs.config import InputConfig
from xabl.pretraining.optimiser import OptimiserConfig
from xabl.pretraining.small_models import small_uniter

RUNS = {
    "synthetic_world": PretrainingConfig(
        name="synthetic_world",
        model=small_uniter(vocab_size=235, feature_size=128),
        # More targets than the published 15%: few updates have to do.
        inputs=InputConfig(objective=2, word_rate=0.4),
        optimiser=OptimiserConfig(learning_rate=2e-3, beta2=0.98),
        initial=InitialValues(scheme="uniform"),
        steps=500,
        batch_size=64,
        checkpoint_every=250,
    )
}
