"""Cross-modal input ablation (Frank et al., EMNLP 2021).

The method, in the order to read it (conditions, what is removed, are in `results`):

examples         phrases of captions, as word pieces
definition       THE METHOD: one phrase under one condition, for any model
replacement      what takes the place of hidden regions, by way of removing
any_model        what a model is to it: a function from words and regions to logits
any_input        or one that is told what an ablation is, and reads anything
interview        how that one is asked
plan             all phrases under all conditions: the distinct inputs among them,
distinct_inputs  and what they hold
overlap          which regions show a phrase, for the plan
options, asked   what can be asked of an ablation; flags and arguments as options
inputs, run      one ablation from files to a results directory
record           its results and all they depend on
keeping          its scores, kept while they are made
own              the ablation of a function of one's own
series, shares   several of them in one process; one of them by several processes
tables, digests  its scores as tables; what identifies its parameters
mismatch         whether features, captions and model belong together
foils            captions against foils, intact and ablated

`engine` gives the numbers of `definition` for less arithmetic. Nobody has to enter it
to understand, to change or to extend the method.
"""
