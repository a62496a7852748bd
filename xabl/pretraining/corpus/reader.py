"""Reads a pretraining corpus: all captions at once, images on demand."""

import dataclasses
import shlex
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
from jaxtyping import Float32, Int32

from xabl.errors import UserError, naming, reason
from xabl.support.files import beginning

CAPTIONS_FILE = "captions.parquet"


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class CorpusImage:
    """One record; arrays are padded with zeros beyond `num_boxes` rows.

    Fields are those of `ImageRegions`; cls_prob and the attributes are None in a corpus
    without them.
    """

    image_id: str
    img_w: int
    img_h: int
    num_boxes: int
    features: Float32[np.ndarray, "boxes features"]
    boxes: Float32[np.ndarray, "boxes 4"]
    objects_id: Int32[np.ndarray, " boxes"]
    objects_conf: Float32[np.ndarray, " boxes"]
    cls_prob: Float32[np.ndarray, "boxes classes"] | None
    attrs_id: Int32[np.ndarray, " boxes"] | None
    attrs_conf: Float32[np.ndarray, " boxes"] | None


class Corpus:
    """One split of a corpus; example n is caption n and its image.

    Images that were read stay in memory up to `cache_bytes`, so that a small corpus is
    read once; others are read from disk each time. A pickle holds no images: worker
    processes open the files themselves.

    metadata: of the data set.
    captions: all captions, in the order of the examples.
    image_of: the record of each example's image.
    num_images: number of records.
    num_boxes: boxes of a record, padding included.
    feature_size: length of a region's feature vector.
    has_cls_prob: whether records have the detector's class distributions.
    has_attributes: whether records have the detector's attributes.
    average_features: over captions, of the mean over an image's boxes.
    """

    def __init__(self, directory: Path | str, split: str, cache_bytes: int = 2**30):
        """Opens a corpus that `xabl corpus` has written.

        Raises:
            UserError: there is no such corpus or split, or a part of it is missing.
        """
        import tensorflow_datasets as tfds  # half a second

        self.directory = Path(directory)
        self.split = split
        self._cache_bytes = cache_bytes
        self._cache: dict[int, CorpusImage] = {}
        folder = self.directory / split
        if not (folder / "dataset_info.json").is_file():
            raise UserError(_not_there(self.directory, split))
        try:
            for file in folder.iterdir():
                beginning(file)
            with naming(folder):
                builder = tfds.builder_from_directory(folder)
                self._records = builder.as_data_source(split=split)
            with naming(folder / CAPTIONS_FILE):
                table = pyarrow.parquet.read_table(
                    folder / CAPTIONS_FILE, page_checksum_verification=True
                )
            self.metadata = dict(builder.info.metadata or {})
            self.num_images = len(self._records)
            self.captions: pyarrow.ChunkedArray = table["caption"].combine_chunks()
            self.image_of: Int32[np.ndarray, " examples"] = table["record"].to_numpy()
            features = builder.info.features
            self.num_boxes, self.feature_size = features["features"].shape
            average = self.metadata["average_features"]
            self.average_features = np.array(average, np.float32)
        except UserError:
            raise
        except Exception as error:  # the libraries do not document what they raise
            raise UserError(
                f"{folder}: a part of the corpus is missing or damaged "
                f"({reason(error)}); build it again with xabl corpus"
            ) from error
        found = self.num_images, len(self.captions), self.average_features.shape
        expected = [self.metadata.get(name) for name in ("num_images", "num_captions")]
        if found != (*expected, (self.feature_size,)):
            raise UserError(
                f"{folder}: a part of the corpus is missing: metadata.json does not "
                "agree with the records, the captions and the features on how many "
                "there are; build it again with xabl corpus"
            )
        self.has_cls_prob = "cls_prob" in features
        self.has_attributes = "attrs_id" in features

    def __len__(self) -> int:
        """Number of examples: pairs of a caption and its image."""
        return len(self.captions)

    def image(self, record: int) -> CorpusImage:
        """One image.

        Args:
            record: its number, from `image_of`.

        Raises:
            UserError: the record cannot be read.
        """
        image = self._cache.get(record)
        if image is None:
            image = self._read(record)
            if (len(self._cache) + 1) * _num_bytes(image) <= self._cache_bytes:
                self._cache[record] = image
        return image

    def _read(self, record: int) -> CorpusImage:
        try:
            with naming(self.directory / self.split):
                fields = self._records[record]
        except UserError:
            raise
        except Exception as error:  # the reader does not document what it raises
            raise UserError(
                f"{self.directory / self.split}: image number {record} cannot be read "
                f"({error}); build the corpus again with xabl corpus"
            ) from error
        names = (field.name for field in dataclasses.fields(CorpusImage))
        values = {name: fields.get(name) for name in names}
        for name in ("img_w", "img_h", "num_boxes"):
            values[name] = int(values[name])
        return CorpusImage(**values | {"image_id": fields["image_id"].decode()})

    def __getstate__(self) -> tuple:
        return self.directory, self.split, self._cache_bytes

    def __setstate__(self, state: tuple) -> None:
        self.__init__(*state)


def _num_bytes(image: CorpusImage) -> int:
    return sum(
        value.nbytes for value in vars(image).values() if isinstance(value, np.ndarray)
    )


def _not_there(directory: Path, split: str) -> str:
    splits = sorted(path.parent.name for path in directory.glob("*/dataset_info.json"))
    command = f"xabl corpus --output={shlex.quote(str(directory))}"
    if splits:
        has = f"{directory} has no split {split!r}; it has {', '.join(splits)}"
        return f"{has}; give one of these, or build it with {command} --split={split}"
    return f"{directory} is no corpus; build one with {command}"
