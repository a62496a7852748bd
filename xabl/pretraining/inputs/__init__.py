"""From a corpus to batches of masked examples.

    config          what an example looks like: masking, replacement, ablation
    random_numbers  the random numbers of each example
    masking         which words and regions are targets, and what the model sees
    caption_pieces  word pieces of captions
    example_maker   `ExampleMaker`: some examples as a batch
    batch           `PretrainingBatch`: what the training step receives
    pipeline        all batches of a run, in order

To read: `config`, `masking`, `example_maker`.
"""
