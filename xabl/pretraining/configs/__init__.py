"""The published pretraining runs, and one on a synthetic world.

`--config=NAME` takes one of these files by its name. Each docstring gives the
hypothesis that the run tests, the expected numbers and the command.

Architecture: ctrl_{uniter,vilbert,lxmert,vl_bert,visualbert}_base; the original sizes
and recipes: vilbert_base, lxmert, vl_bert_base. Form of the region loss:
ctrl_uniter_xent_base. Initial values: uniter_rnd_vl, vilbert_rnd_vl. Two stages, images
alone first: uniter_rnd_v, uniter_rnd_v_vl; uniter_bert_v, uniter_bert_v_vl. Visual
leakage: uniter_overlap. Text alone: bert_cc. No download: synthetic_world.
"""
