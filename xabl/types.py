"""Names of array axes, used in every public signature.

| axis | meaning |
|---|---|
| `batch` | inputs scored or trained on together |
| `words` | positions of the text stream: [CLS], word pieces, [SEP], padding |
| `regions` | positions of the region stream, the optional [IMG] row counted |
| `boxes` | the detector's regions of one image, [IMG] not counted (36) |
| `features` | size of one region's feature vector (2048 in published models) |
| `locations` | numbers that place a region: x1, y1, x2, y2 and perhaps area |
| `hidden`, `region_hidden` | width of the text stream, of the region stream |
| `vocabulary` | word pieces |
| `classes` | outputs of one visual target |
| `targets` | positions a head is applied to |
"""
