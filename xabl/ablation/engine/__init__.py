"""A plan scored quickly, on any number of devices, with the numbers of `definition`.

In the order to read it:

device_loop     `ablate`: a plan, a model and its regions in, scores out
schedule        the plan cut into steps, each a batch of inputs or of pairs
remaining       the steps that are left: of an interrupted run, or for one process
padding         the lengths that batches are padded to
programs        the compiled program of each shape of step; what a step computes
scorer          that computation: from indices and masks to losses
device_regions  the regions of a step, the [IMG] row among them, from those placed
projection      once before: all regions on the devices, behind the first product
losses          what is measured at the targets
pair_scores     scores of distinct pairs, given back to examples and conditions
memory          batch sizes and tables that fit
operations      arithmetic of a step, from its trace
explain         what a plan will cost: `--explain`
machines        how fast machines are: some measured before, this one when asked
unfinished      scores of an interrupted run
"""
