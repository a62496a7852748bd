"""The models: one gated bimodal framework and the configurations that name them.

region_embedding  the kinds of region embeddings: all but their arithmetic
visual_targets    what can be predicted of a region, and whether it is scored
config            the frozen `ModelConfig`, and why one does not describe a model
config_json       its fields as the reference's JSON files have them
presets           the published configurations by name
structs           typed inputs and outputs
dropout           a key for each example, and quick bits
layers            dense, LayerNorm, activations
embeddings        words, and the arithmetic of region embeddings
sublayers         gated attention and feed-forward
heads             poolers, masked words, regions, image-text matching
model             `VisionLanguageBert`, all of the above in one module
reference_names   our parameters <-> names in PyTorch checkpoints
model_directory   a model on disk
"""
