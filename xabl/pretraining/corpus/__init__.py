"""A pretraining corpus: captioned images as a TFDS data set.

reader        `Corpus`: captions and images, as training reads them
writer        `build_corpus`: from files to a data set
sources       captioned images in the files that hold them
msgpack_lmdb  Conceptual Captions as an LMDB of msgpack lists
"""
