"""Cross-modal input ablation of vision-and-language BERTs in JAX/Flax."""

__version__ = "0.1.0"
