"""Image regions: the published file formats, our own store, and what they hold.

Usage:

    with open_regions(path) as source:
        image = source.read("1000092795")
        stacked = source.read_all(image_ids)
"""
