"""Makes a synthetic world in the published file formats.

Images with a few coloured objects, captions that name them, annotated phrases, and
what an object detector would report: everything pretraining and the ablations read,
with nothing to download, and with the truth about it in truth.json.

    python -m experiments.make_world --output=/tmp/world --images=1000 --pictures
    python -m experiments.make_world --output=/tmp/silver --images=4000 \\
        --feature_size=256 --label_noise=silver --region_overlap=high
"""

from absl import flags

from xabl.support import binary

_OUTPUT = flags.DEFINE_string("output", None, "Folder to make.", required=True)
_IMAGES = flags.DEFINE_integer("images", 1000, "Images of all splits together.")
_VAL_IMAGES = flags.DEFINE_integer(
    "val_images", None, "Images of the validation split; default: a tenth of all."
)
_TEST_IMAGES = flags.DEFINE_integer(
    "test_images", None, "Images of the test split; default: a tenth of all."
)
_SEED = flags.DEFINE_integer("seed", 0, "Same seed, same bytes.")
_VISION_TO_LANGUAGE = flags.DEFINE_float(
    "vision_to_language",
    1.0,
    "How often a phrase's words follow what the image shows; otherwise they are drawn "
    "without looking.",
)
_LABEL_NOISE = flags.DEFINE_enum(
    "label_noise",
    "gold",
    ["gold", "silver"],
    "The detector is right, or wrong as often and in the same way as the published "
    "one.",
)
_REGION_OVERLAP = flags.DEFINE_string(
    "region_overlap",
    "low",
    "How many regions show each object nearly whole: low (2), high (5), or 1 to 5.",
)
_SURVIVING_LEAKS = flags.DEFINE_enum(
    "surviving_leaks",
    "none",
    ["none", "parts", "context", "both"],
    "What still tells an object's class when all regions overlapping it by more than "
    "half are masked: regions that show a part of it, a scene that goes with it.",
)
_REGIONS_FORM = flags.DEFINE_enum(
    "regions_form",
    "hdf5store",
    ["hdf5store", "lmdb", "tsv", "hdf5"],
    "File format of the region features; hdf5store is this project's own.",
)
_FEATURE_SIZE = flags.DEFINE_integer(
    "feature_size", 2048, "Length of a region's feature vector."
)
_CLASSES_PER_TYPE = flags.DEFINE_integer(
    "classes_per_type",
    3,
    "Classes of objects in each of the eight phrase types (2, 3).",
)
_PICTURES = flags.DEFINE_bool("pictures", False, "Also draw every image as a PNG.")
_OVERWRITE = flags.DEFINE_bool("overwrite", False, "Replace an existing folder.")


def main() -> None:
    from tqdm import tqdm

    from xabl.synthetic.world.files import make_world
    from xabl.synthetic.world.settings import WorldSettings

    overlap = _REGION_OVERLAP.value
    tenth = max(1, _IMAGES.value // 10)
    val_images = tenth if _VAL_IMAGES.value is None else _VAL_IMAGES.value
    test_images = tenth if _TEST_IMAGES.value is None else _TEST_IMAGES.value
    settings = WorldSettings(
        seed=_SEED.value,
        train_images=_IMAGES.value - val_images - test_images,
        val_images=val_images,
        test_images=test_images,
        vision_to_language=_VISION_TO_LANGUAGE.value,
        label_noise=_LABEL_NOISE.value,
        region_overlap=int(overlap) if overlap.isdecimal() else overlap,
        surviving_leaks=_SURVIVING_LEAKS.value,
        feature_size=_FEATURE_SIZE.value,
        classes_per_type=_CLASSES_PER_TYPE.value,
    )
    make_world(
        _OUTPUT.value,
        settings,
        regions_form=_REGIONS_FORM.value,
        pictures=_PICTURES.value,
        overwrite=_OVERWRITE.value,
        progress=lambda numbers: tqdm(numbers, "images", unit=" images"),
    )
    print(f"{_OUTPUT.value}: {_IMAGES.value} images")


if __name__ == "__main__":
    binary.run(main)
