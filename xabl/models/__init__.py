"""The models: one gated bimodal framework and the configurations that name them.

config           the frozen `ModelConfig`, read from the reference's JSON
config_problems  why a configuration does not describe a model
presets          the published configurations by name
structs          typed inputs and outputs
layers           dense, LayerNorm, activations
embeddings       words, and the five kinds of region embeddings
sublayers        gated attention and feed-forward
heads            poolers, masked words, regions, image-text matching
model            `VisionLanguageBert`, all of the above in one module
reference_names  our parameters <-> names in PyTorch checkpoints
"""
