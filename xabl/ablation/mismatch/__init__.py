"""Are these the features, these the captions? What belongs together is compared.

check         all of it, in a run
findings      what was found, and what a run does about it
features      features against those of the model's training
annotations   regions against boxes and phrases of the same images
sample        a few hundred intact examples, scored, also with another image's
scores        what their losses say
"""
