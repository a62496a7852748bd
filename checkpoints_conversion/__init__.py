"""From published PyTorch checkpoints to xabl model directories."""
