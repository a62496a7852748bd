"""Pretraining: from captioned images to a model.

Data, from files to a batch to a loss:
    corpus/         captioned images as a TFDS data set
    inputs/         masked examples, in batches
    objective/      the losses of a batch

The run, from a configuration to a model directory:
    configuration   all that the result of a run depends on
    configs/        the published runs, by name
    launch          `xabl pretrain`: configuration, hosts, devices
    run             everything a run needs, checked before any work
    initial_values  where the parameters come from
    optimiser       the learning rate and Adam as published
    train           the loop
    train_step      one update, on all devices
    workdir         the folder of a run, and its models
    checkpoints     the training state on disk
    reports         metrics.jsonl, TensorBoard, the terminal
    ablation_watch  scores under ablation during training
    small_models    runs of seconds, models of minutes

To read: `configuration`, `inputs.masking`, `inputs.example_maker`, `objective.losses`,
`objective.forward`, `train_step`, `train`.
"""
