"""A small world with known truth, and small models that are trained and ablated on it.

    world/           images, captions, regions: everything the method reads, as files
    trials           one small model: its world, its pretraining, its ablation
    parallel_trials  many of them, each in its own process
    demo             `xabl demo`: the whole method in minutes
    controls/        `xabl controls`: does the ablation measure what is there?

To read: `world.settings` (what can be true), `trials`, `demo`.
"""
