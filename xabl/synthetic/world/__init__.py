"""The synthetic world, in the published file formats.

    settings    the size of a world, and what is true in it
    vocabulary  classes, colours, scenes and their words
    placement   where objects are, and where a detector finds regions
    images      objects, and what a detector reports of them
    confusion   how often the published detector mislabels objects
    captions    captions that name what an image shows, or something else
    pictures    images as PNG files
    files       `make_world`: all files of a world

To read: in this order.
"""
