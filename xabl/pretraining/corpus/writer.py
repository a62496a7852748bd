"""Writes a pretraining corpus: a TFDS data set of captioned images.

Each record is an image with its regions and all its captions, in ArrayRecord files that
`as_data_source` reads without TensorFlow. `captions.parquet` lists every caption with
its record: a training example is one caption and its image, and a random caption is
drawn without reading a record.
"""

import contextlib
import dataclasses
import io
import itertools
import re
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import tensorflow_datasets as tfds
from tqdm import tqdm

from xabl.data.class_names import DETECTOR_CLASSES
from xabl.data.flickr30k_entities import read_image_ids
from xabl.data.regions.image_regions import ImageRegions
from xabl.errors import UserError, check_range
from xabl.pretraining.corpus.reader import CAPTIONS_FILE, Corpus
from xabl.pretraining.corpus.sources import CaptionedImage, read_captioned_images
from xabl.support.atomic import new_directory

_MOST_BOXES = 10_000  # every record is padded to as many
_SHARD_BYTES = 2**29
_INFO = "dataset_info.json"  # by which TFDS knows a data set
_RECORDS_A_WRITE = 64  # TFDS writes its metadata anew after each write


@dataclasses.dataclass(kw_only=True)
class CorpusConfig(tfds.core.BuilderConfig):
    """The arrays of every record.

    feature_size: length of a region's feature vector.
    num_boxes: boxes of a record; images with fewer are padded.
    has_cls_prob: whether the detector's class distributions are stored.
    has_attributes: whether the detector's attributes are stored.
    """

    feature_size: int = 2048
    num_boxes: int = 36
    has_cls_prob: bool = True
    has_attributes: bool = True


class CaptionedImages(tfds.core.GeneratorBasedBuilder):
    """The TFDS builder of a corpus, for images that the caller reads.

    Its metadata has the number of images and captions, and the average feature vector
    (over captions, of the mean over an image's boxes), which ablation while training
    puts in place of a region's features.
    """

    VERSION = tfds.core.Version("1.0.0")

    def __init__(
        self,
        *,
        images: Iterable[CaptionedImage],
        split: str,
        config: CorpusConfig,
        data_dir: Path | str,
    ):
        self._images = images
        self._split = split
        self._image_ids: list[str] = []
        self._captions: list[str] = []
        self._records: list[int] = []  # of each caption
        self._feature_sum = np.zeros(config.feature_size, np.float64)
        super().__init__(config=config, data_dir=data_dir)

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description="Image regions and captions, for pretraining.",
            features=_record_features(self.builder_config),
            metadata=tfds.core.MetadataDict(),
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager) -> dict[str, Iterator]:
        return {self._split: self._generate_examples()}

    def _generate_examples(self) -> Iterator[tuple[int, dict]]:
        for number, image in enumerate(self._images):
            mean = image.regions.features.mean(axis=0, dtype=np.float64)
            self._feature_sum += len(image.captions) * mean
            self._image_ids.append(image.regions.image_id)
            self._captions += image.captions
            self._records += [number] * len(image.captions)
            yield number, _record(image, self.info.features)

    def _download_and_prepare(self, dl_manager, download_config) -> None:
        """Writes the records as they come.

        The inherited method gathers a split in memory, and needs TensorFlow beyond
        1,000 MB; Conceptual Captions has 800 times as much.
        """
        config = self.builder_config
        columns = config.feature_size + DETECTOR_CLASSES * config.has_cls_prob
        info = self._info()  # of the temporary folder, unlike self.info
        writer = tfds.core.SequentialWriter(
            info,
            max_examples_per_shard=max(
                1, _SHARD_BYTES // (4 * config.num_boxes * columns)
            ),
            file_format="array_record",
        )
        for split, records in self._split_generators(dl_manager).items():
            writer.initialize_splits([split])
            while group := list(itertools.islice(records, _RECORDS_A_WRITE)):
                with _disk_errors():
                    writer.add_examples({split: [example for _, example in group]})
        with _disk_errors():
            writer.close_all()
        self.info.set_splits(info.splits)
        average = self._feature_sum / max(1, len(self._captions))
        self.info.metadata.update(
            num_images=len(self._image_ids),
            num_captions=len(self._captions),
            average_features=average.tolist(),
        )
        records = pyarrow.array(self._records, pyarrow.int32())
        table = pyarrow.table(
            {
                "record": records,
                "image_id": pyarrow.array(self._image_ids, pyarrow.string()).take(
                    records
                ),
                "caption": pyarrow.array(self._captions, pyarrow.string()),
            }
        )
        pyarrow.parquet.write_table(
            table, Path(self.data_dir) / CAPTIONS_FILE, write_page_checksum=True
        )


def build_corpus(
    source: Path,
    captions: Path | None,
    output: Path,
    split: str,
    *,
    image_ids: Path | None = None,
    limit: int | None = None,
    num_boxes: int = 36,
    skip_bad_rows: bool = False,
    overwrite: bool = False,
) -> str:
    """Builds a split of a corpus from files.

    Args:
        source: region features; see `read_captioned_images`.
        captions: of the images; see `read_captioned_images`.
        output: folder of the corpus; the split becomes a folder in it.
        split: its name.
        image_ids: file with the ids of the images to take, one on each line; None takes
            all.
        limit: number of images to take, the first of the source; None takes all.
        num_boxes: boxes of every record.
        skip_bad_rows: leaves out images that are missing or bad, and counts them.
        overwrite: replaces the split if it exists.

    Returns:
        What the split holds, in a few lines.

    Raises:
        UserError: a file that cannot be read, the first image that is missing or bad
            unless `skip_bad_rows`, or an output that exists or cannot be written.
    """
    if limit is not None:
        check_range("limit", limit, 1)
    skipped: dict[str, UserError] | None = {} if skip_bad_rows else None
    images = read_captioned_images(
        source,
        captions,
        split,
        read_image_ids(image_ids) if image_ids else None,
        None if skipped is None else skipped.__setitem__,
    )
    # tqdm draws a bar on a terminal only.
    shown = tqdm(itertools.islice(images, limit), unit=" images", disable=None)
    write_corpus(
        iter(shown),
        output,
        split,
        num_boxes=num_boxes,
        overwrite=overwrite,
        skipped=skipped,
    )
    return _summary(Corpus(output, split), skipped or {})


def write_corpus(
    images: Iterable[CaptionedImage],
    output: Path,
    split: str,
    *,
    num_boxes: int = 36,
    overwrite: bool = False,
    skipped: dict[str, UserError] | None = None,
) -> Path:
    """Writes the corpus of a split, whole or not at all.

    Args:
        images: no image twice; read once, one in memory at a time.
        output: folder of the corpus; the split becomes a folder in it.
        num_boxes: boxes of every record; fewer are padded, more are an error.
        overwrite: replaces the split if it exists.
        skipped: images that could not be read, by id. Images that do not fit the first
            one are added and left out; all messages go into the metadata. None: the
            first image that does not fit raises.

    Returns:
        The split's folder, which `tfds.builder_from_directory` reads.

    Raises:
        UserError: the split exists, there are no images, an image does not fit, there
            are too many boxes, or the disk is full.
    """
    if not re.fullmatch("[a-z][a-z0-9_]*", split):
        raise UserError(
            f"split {split!r}: expected small letters, digits and _, such as train"
        )
    check_range("--boxes", num_boxes, 1, _MOST_BOXES)
    with new_directory(output / split, overwrite, holds=_INFO) as temporary:
        images = iter(images)
        first = next(images, None)
        if first is None:
            raise UserError(
                f"no images for {output / split}: regions and captions have none in "
                "common that can be read"
            )
        config = CorpusConfig(
            name="corpus",
            feature_size=first.regions.features.shape[1],
            num_boxes=num_boxes,
            has_cls_prob=first.regions.cls_prob is not None,
            has_attributes=first.regions.attrs_id is not None,
        )
        builder = CaptionedImages(
            images=_fitting(itertools.chain([first], images), config, skipped),
            split=split,
            config=config,
            data_dir=temporary / "tfds",
        )
        # What TFDS prints names the temporary folder.
        with contextlib.redirect_stdout(io.StringIO()):
            builder.download_and_prepare(
                download_config=tfds.download.DownloadConfig(try_download_gcs=False),
                file_format="array_record",
            )
        if not builder.info.metadata["num_images"]:
            raise UserError(f"{output / split}: no image has {num_boxes} boxes or less")
        builder.info.metadata["skipped"] = {
            image_id: str(error) for image_id, error in (skipped or {}).items()
        }
        builder.info.metadata.save_metadata(builder.data_dir)
        # TFDS nests folders for name, configuration and version.
        for file in Path(builder.data_dir).iterdir():
            file.rename(temporary / file.name)
        shutil.rmtree(temporary / "tfds")
    return output / split


@contextlib.contextmanager
def _disk_errors() -> Iterator[None]:
    """Turns what the ArrayRecord writer raises on a full disk into an OSError."""
    try:
        yield
    except RuntimeError as error:
        raise OSError(str(error)) from error


def _record_features(config: CorpusConfig) -> tfds.features.FeaturesDict:
    """The fields of a record; names are those of `ImageRegions`."""

    def per_box(number_type: type, *columns: int) -> tfds.features.Tensor:
        return tfds.features.Tensor(
            shape=(config.num_boxes, *columns),
            dtype=number_type,
            # As lists of numbers, protocol buffers take seven times as long.
            encoding=tfds.features.Encoding.BYTES,
        )

    features = {
        "image_id": tfds.features.Text(),
        "captions": tfds.features.Sequence(tfds.features.Text()),
        "img_w": np.int32,
        "img_h": np.int32,
        "num_boxes": np.int32,
        "features": per_box(np.float32, config.feature_size),
        "boxes": per_box(np.float32, 4),
        "objects_id": per_box(np.int32),
        "objects_conf": per_box(np.float32),
    }
    if config.has_cls_prob:
        features["cls_prob"] = per_box(np.float32, DETECTOR_CLASSES)
    if config.has_attributes:
        features["attrs_id"] = per_box(np.int32)
        features["attrs_conf"] = per_box(np.float32)
    return tfds.features.FeaturesDict(features)


def _record(
    image: CaptionedImage, features: tfds.features.FeaturesDict
) -> dict[str, object]:
    """The fields of one image, padded with zeros."""
    record: dict[str, object] = {"captions": list(image.captions)}
    for name, feature in features.items():
        if name in record:
            continue
        value = getattr(image.regions, name)
        if isinstance(value, np.ndarray):
            widths = [(0, feature.shape[0] - len(value))] + [(0, 0)] * (value.ndim - 1)
            value = np.pad(value, widths).astype(feature.np_dtype)
        record[name] = value
    return record


def _fitting(
    images: Iterable[CaptionedImage],
    config: CorpusConfig,
    skipped: dict[str, UserError] | None,
) -> Iterator[CaptionedImage]:
    """The images that have the sizes of the corpus."""
    for image in images:
        problem = _misfit(image.regions, config)
        if problem is None:
            yield image
            continue
        error = UserError(f"image {image.regions.image_id}: {problem}")
        if skipped is None:
            raise error
        skipped[image.regions.image_id] = error


def _misfit(regions: ImageRegions, config: CorpusConfig) -> str | None:
    if regions.num_boxes > config.num_boxes:
        return (
            f"{regions.num_boxes} boxes, more than the corpus has room for; set "
            f"--boxes={regions.num_boxes}, or leave the image out"
        )
    size = regions.features.shape[1]
    if size != config.feature_size:
        return (
            f"{size} numbers a feature vector where the first image has "
            f"{config.feature_size}; one corpus holds the output of one detector"
        )
    has = (regions.cls_prob is not None, regions.attrs_id is not None)
    if has != (config.has_cls_prob, config.has_attributes):
        return (
            "unlike the first image in having class distributions or attributes; "
            "extract its regions again, or leave it out"
        )
    return None


def _summary(corpus: Corpus, skipped: dict[str, UserError]) -> str:
    detector = [
        "class distributions" if corpus.has_cls_prob else "no class distributions",
        "attributes" if corpus.has_attributes else "no attributes",
    ]
    lines = [
        f"{corpus.directory / corpus.split}: {corpus.num_images} images, "
        f"{len(corpus)} captions; {corpus.num_boxes} boxes of {corpus.feature_size} "
        f"features, {', '.join(detector)}"
    ]
    if skipped:
        lines.append(f"skipped {len(skipped)}:")
        lines += [f"  {error}" for error in itertools.islice(skipped.values(), 10)]
        if len(skipped) > 10:
            lines.append("  ... (all are in metadata.json)")
    return "\n".join(lines)
