"""Makes a synthetic world in the published file formats.

Images with a few coloured objects, captions that name them, annotated phrases, and
what an object detector would report: everything pretraining and the ablations read,
with nothing to download, and with the truth about it in truth.json.

    xabl world --output=/tmp/world --images=1000 --pictures
    xabl world --output=/tmp/silver --images=4000 \\
        --feature_size=256 --label_noise=silver --region_overlap=high
"""

from absl import flags

from xabl.errors import check_range

FLAGS = flags.FLAGS


def define_flags() -> None:
    flags.DEFINE_string("output", None, "folder to make", required=True)
    flags.DEFINE_integer("images", 1000, "images of all splits together")
    flags.DEFINE_integer(
        "val_images", None, "images of the validation split (default: a tenth of all)"
    )
    flags.DEFINE_integer(
        "test_images", None, "images of the test split (default: a tenth of all)"
    )
    flags.DEFINE_integer("seed", 0, "same seed, same bytes")
    flags.DEFINE_float(
        "vision_to_language",
        1.0,
        "how often a phrase's words follow what the image shows; otherwise they are "
        "drawn without looking",
    )
    flags.DEFINE_enum(
        "words_from_image",
        "all",
        ["all", "nouns", "colours"],
        "which words of such a phrase follow the image; its others are drawn without "
        "looking",
    )
    flags.DEFINE_enum(
        "label_noise",
        "gold",
        ["gold", "silver"],
        "the detector is right, or wrong as often and in the same way as the published "
        "one",
    )
    flags.DEFINE_enum(
        "region_overlap",
        "low",
        ["low", "high", "1", "2", "3", "4", "5"],
        "how many regions show each object nearly whole: low is 2, high 5",
    )
    flags.DEFINE_enum(
        "surviving_leaks",
        "none",
        ["none", "parts", "context", "both"],
        "what still tells an object's class when all regions overlapping it by more "
        "than half are masked: regions that show a part of it, a scene that goes "
        "with it",
    )
    flags.DEFINE_enum(
        "regions_form",
        "hdf5store",
        ["hdf5store", "lmdb", "tsv", "hdf5"],
        "file format of the region features; hdf5store is this project's own",
    )
    flags.DEFINE_integer("feature_size", 2048, "length of a region's feature vector")
    flags.DEFINE_integer(
        "classes_per_type",
        3,
        "classes of objects in each of the eight phrase types (2, 3)",
    )
    flags.DEFINE_bool("pictures", False, "also draw every image as a PNG")
    flags.DEFINE_bool("overwrite", False, "replace an existing folder")


def main() -> None:
    from tqdm import tqdm

    from xabl.synthetic.world.files import make_world
    from xabl.synthetic.world.settings import WorldSettings

    overlap = FLAGS.region_overlap
    tenth = max(1, FLAGS.images // 10)
    val_images = tenth if FLAGS.val_images is None else FLAGS.val_images
    test_images = tenth if FLAGS.test_images is None else FLAGS.test_images
    check_range("--images", FLAGS.images, val_images + test_images + 1)
    settings = WorldSettings(
        seed=FLAGS.seed,
        train_images=FLAGS.images - val_images - test_images,
        val_images=val_images,
        test_images=test_images,
        vision_to_language=FLAGS.vision_to_language,
        words_from_image=FLAGS.words_from_image,
        label_noise=FLAGS.label_noise,
        region_overlap=int(overlap) if overlap.isdecimal() else overlap,
        surviving_leaks=FLAGS.surviving_leaks,
        feature_size=FLAGS.feature_size,
        classes_per_type=FLAGS.classes_per_type,
    )
    make_world(
        FLAGS.output,
        settings,
        regions_form=FLAGS.regions_form,
        pictures=FLAGS.pictures,
        overwrite=FLAGS.overwrite,
        progress=lambda n: tqdm(n, "images", unit=" images", disable=None),
    )
    print(f"{FLAGS.output}: {FLAGS.images} images")
