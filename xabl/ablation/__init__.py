"""Cross-modal input ablation (Frank et al., EMNLP 2021).

Read in this order: `conditions` (what is removed), `examples` (phrases as word
pieces), `plan` (the distinct inputs), `scoring` (indices and masks to losses, on the
device), `evaluate` (the device loop), `results` (files).
"""
