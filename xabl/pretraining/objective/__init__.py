"""The losses of a batch.

losses     each loss, as sums over targets and numbers of targets
negatives  negatives of the noise-contrastive loss
forward    the model on a batch: the sums of all losses
"""
