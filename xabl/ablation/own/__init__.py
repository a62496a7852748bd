"""The ablation of a model that is a function of one's own.

run            from files to results: `ablate_function`, `ablate_anything`
region_reader  a function from words and regions to logits, measured
results        what was found, as tables and a manifest

What such functions are is in `ablation.any_model` and `ablation.any_input`.
"""
