"""What `import xabl` offers: models, their ablation, and single examples.

regions   a file of image regions as a mapping
model     a model directory, loaded
scores    the ablation of a whole split: `xabl.ablate`
own       the ablation of a function of one's own
example   one caption and image, ablated as one likes
picture   an example to look at
"""
