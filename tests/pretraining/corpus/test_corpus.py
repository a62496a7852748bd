"""Corpora from every source, read back; what is wrong with a source is named."""

import resource
import shutil
import subprocess
import sys

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.helpers import binaries, tiny_corpus
from tests.helpers.corpora import (
    IDS,
    assert_holds,
    build,
    images,
    one_caption,
    write_captions,
    write_tsv,
)
from tests.helpers.golden_world import ENTITIES, golden_images
from xabl.data.flickr30k_entities import read_split
from xabl.data.regions import hdf5_files, lmdb_files, tsv_files
from xabl.errors import UserError
from xabl.pretraining.corpus.reader import CAPTIONS_FILE, Corpus
from xabl.pretraining.corpus.writer import write_corpus
from xabl.synthetic.world.files import make_world
from xabl.synthetic.world.settings import WorldSettings

SIZES = {"has_attributes": True, "num_boxes": 4}


@pytest.mark.parametrize(
    ("write", "name"),
    [
        (tsv_files.write, "regions.tsv"),
        (lmdb_files.write, "regions.lmdb"),
        (hdf5_files.write, "regions.hdf5"),
    ],
)
def test_conceptual_captions(tmp_path, write, name):
    write(tmp_path / name, images())
    corpus, report = build(tmp_path, tmp_path / name, write_captions(tmp_path))
    has_cls_prob = name != "regions.hdf5"
    expected = [tiny_corpus.image(i, has_cls_prob=has_cls_prob) for i in IDS]
    assert_holds(corpus, expected, one_caption())
    assert corpus.has_cls_prob == has_cls_prob and corpus.has_attributes
    np.testing.assert_array_equal(corpus.image(3).attrs_id, expected[3].attrs_id)
    np.testing.assert_array_equal(corpus.image(3).attrs_conf, expected[3].attrs_conf)
    assert "5 images, 5 captions; 4 boxes of 8 features" in report
    if not has_cls_prob:
        assert "no class distributions" in report


def test_flickr30k_entities(tmp_path):
    tsv_files.write(tmp_path / "regions.tsv", golden_images())
    corpus, _ = build(
        tmp_path, tmp_path / "regions.tsv", ENTITIES, split="val", num_boxes=36
    )
    expected = [
        tuple(" ".join(caption.words) for caption in image.captions)
        for image in read_split(ENTITIES, "val")
    ]
    assert_holds(corpus, golden_images(), expected)
    assert corpus.feature_size == 2048


def test_a_synthetic_world(tmp_path):
    world = tmp_path / "world"
    settings = WorldSettings(
        train_images=6, val_images=2, test_images=1, feature_size=16
    )
    make_world(world, settings)
    regions = world / "regions.h5"
    one, _ = build(tmp_path / "1", regions, world / "caption_train.json", num_boxes=36)
    assert (one.num_images, len(one)) == (6, 6)
    five, _ = build(tmp_path / "5", regions, world / "flickr30k_entities", num_boxes=36)
    assert (five.num_images, len(five)) == (6, 30)
    assert set(one.captions.to_pylist()) < set(five.captions.to_pylist())
    assert five.has_cls_prob


def test_tfds_reads_it_without_tensorflow(tmp_path):
    folder = tiny_corpus.corpus(tmp_path, 3).directory / "train"
    script = f"""
import sys
import tensorflow_datasets as tfds
images = tfds.builder_from_directory({str(folder)!r}).as_data_source(split="train")
image = images[2]
print(len(images), image["image_id"].decode(), image["features"].shape)
print([caption.decode() for caption in image["captions"]])
assert "tensorflow" not in sys.modules
"""
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert result.stdout.splitlines() == [
        "3 2 (4, 8)",
        str(list(tiny_corpus.captions("2"))),
    ]


def test_the_average_features_count_images_as_often_as_captions(tmp_path):
    captions = write_captions(tmp_path, **{"3": ["dog", "cat", "red ball"]})
    corpus, _ = build(tmp_path, write_tsv(tmp_path), captions)
    means = [regions.features.mean(0, dtype=np.float64) for regions in images()]
    expected = np.average(means, axis=0, weights=[1, 1, 1, 3, 1])
    np.testing.assert_allclose(corpus.average_features, expected, rtol=1e-6)


def test_a_subset_by_count_or_by_ids(tmp_path):
    source, captions = write_tsv(tmp_path), write_captions(tmp_path)
    corpus, _ = build(tmp_path / "count", source, captions, limit=2)
    assert_holds(corpus, images()[:2], one_caption(IDS[:2]))
    (tmp_path / "ids.txt").write_text("4\n001\n")
    corpus, _ = build(
        tmp_path / "ids", source, captions, image_ids=tmp_path / "ids.txt"
    )
    assert_holds(corpus, [images()[1], images()[4]], one_caption(["1", "4"]))
    (tmp_path / "ids.txt").write_text("4\n99\n")
    with pytest.raises(UserError, match="captions.json has no caption for 1 .*: 99"):
        build(tmp_path / "no", source, captions, image_ids=tmp_path / "ids.txt")


def test_rows_beyond_the_limit_are_not_read(tmp_path):
    source = write_tsv(tmp_path)
    with open(source, "ab") as file:
        file.write(b"99\tcut")
    captions = write_captions(tmp_path, **{"99": "a dog"})
    corpus, _ = build(tmp_path, source, captions, limit=5)
    assert corpus.num_images == 5


def test_bad_rows_are_named_or_skipped(tmp_path):
    source = write_tsv(tmp_path)
    rows = source.read_bytes().splitlines(keepends=True)
    columns = rows[1].split(b"\t")
    columns[9] = columns[9][:40]
    rows[1] = b"\t".join(columns)
    source.write_bytes(b"".join(rows))
    captions = write_captions(tmp_path, **{"77": "a dog", "3": ""})
    with pytest.raises(UserError, match="captions.json: image 3: its caption is ''"):
        build(tmp_path, source, captions)
    captions = write_captions(tmp_path, **{"77": "a dog"})
    with pytest.raises(UserError, match="regions.tsv, line 2.*image 1"):
        build(tmp_path, source, captions)
    assert not (tmp_path / "corpus").exists()
    corpus, report = build(tmp_path, source, captions, skip_bad_rows=True)
    kept = [images()[number] for number in (0, 2, 3, 4)]
    assert_holds(corpus, kept, one_caption([regions.image_id for regions in kept]))
    assert "skipped 2:" in report
    assert "line 2" in report and "no regions for image 77" in report
    assert set(corpus.metadata["skipped"]) == {"1", "77"}


def test_missing_images_are_named(tmp_path):
    captions = write_captions(tmp_path, **{"77": "a dog"})
    with pytest.raises(UserError, match="regions.tsv has no regions for image 77"):
        build(tmp_path, write_tsv(tmp_path), captions)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[1, 2]", "an object was expected"),
        ("{}", "no image; expected"),
        ('{"0": ', "not JSON"),
        ('{"0": 7}', "image 0: its caption is '7'"),
        ('{"0": []}', "image 0"),
    ],
)
def test_bad_caption_files(tmp_path, text, message):
    path = tmp_path / "captions.json"
    path.write_text(text)
    with pytest.raises(UserError, match=f"captions.json: {message}"):
        build(tmp_path, write_tsv(tmp_path), path)


def test_a_caption_file_that_is_not_there(tmp_path):
    with pytest.raises(UserError, match="nothing.json is missing"):
        build(tmp_path, write_tsv(tmp_path), tmp_path / "nothing.json")


def test_captions_are_asked_for(tmp_path):
    with pytest.raises(UserError, match="holds no captions.*--captions"):
        build(tmp_path, write_tsv(tmp_path), None)
    lmdb_files.write(tmp_path / "pickles", images())
    with pytest.raises(UserError, match="holds no captions.*--captions"):
        build(tmp_path, tmp_path / "pickles", None)


def test_images_that_do_not_fit_the_first(tmp_path):
    odd = [
        tiny_corpus.image("5", feature_size=9),
        tiny_corpus.image("6", num_boxes=5),
        tiny_corpus.image("7", has_cls_prob=False),
        tiny_corpus.image("8", num_boxes=2),
    ]

    def captioned(regions):
        return tiny_corpus.CaptionedImage(regions=regions, captions=("a dog",))

    for regions, message in zip(
        odd, ("9 numbers", "--boxes=5", "unlike"), strict=False
    ):
        with pytest.raises(UserError, match=f"image {regions.image_id}: .*{message}"):
            pair = [captioned(images()[0]), captioned(regions)]
            write_corpus(pair, tmp_path / "no", "train", num_boxes=4)
    skipped = {}
    everything = [captioned(regions) for regions in images() + odd]
    write_corpus(everything, tmp_path / "yes", "train", num_boxes=4, skipped=skipped)
    assert list(skipped) == ["5", "6", "7"]
    corpus = Corpus(tmp_path / "yes", "train")
    assert_holds(corpus, images() + odd[3:], [("a dog",)] * 6)


def test_existing_output_is_refused(tmp_path):
    source, captions = write_tsv(tmp_path), write_captions(tmp_path)
    build(tmp_path, source, captions)
    with pytest.raises(UserError, match="train exists already"):
        build(tmp_path, source, captions)
    corpus, _ = build(tmp_path, source, captions, limit=1, overwrite=True)
    assert corpus.num_images == 1
    build(tmp_path, source, captions, split="valid")
    assert {path.name for path in (tmp_path / "corpus").iterdir()} == {"train", "valid"}


def test_opening_what_is_no_corpus(tmp_path):
    with pytest.raises(UserError, match="is no corpus; build one"):
        Corpus(tmp_path, "train")
    corpus = tiny_corpus.corpus(tmp_path, 2)
    with pytest.raises(UserError, match="no split 'valid'; it has train"):
        Corpus(corpus.directory, "valid")
    folder = corpus.directory / "train"
    for name in (CAPTIONS_FILE, "features.json", "metadata.json"):
        broken = tmp_path / "broken"
        shutil.copytree(folder, broken / "train")
        (broken / "train" / name).unlink()
        with pytest.raises(UserError, match="a part of the corpus is missing"):
            Corpus(broken, "train")
        shutil.rmtree(broken)
    table = pq.read_table(folder / CAPTIONS_FILE)
    assert table["image_id"].to_pylist() == ["0", "0", "1", "1"]


def test_a_full_disk_is_named_and_nothing_stays(tmp_path):
    """A limit on the size of files stands for a full disk."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, limits[1]))
    try:
        with pytest.raises(UserError, match="train cannot be written .*File too large"):
            tiny_corpus.corpus(tmp_path, 30)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not (tmp_path / "corpus").exists()


@pytest.mark.parametrize("split", ["../train", "Train", ""])
def test_names_of_splits(tmp_path, split):
    with pytest.raises(UserError, match="expected small letters"):
        write_corpus([], tmp_path, split)


@pytest.mark.parametrize("boxes", [0, 10**30])
def test_records_of_no_size(tmp_path, boxes):
    with pytest.raises(UserError, match=f"--boxes is {boxes}, expected 1 to 10000"):
        write_corpus([], tmp_path, "train", num_boxes=boxes)


def test_no_images(tmp_path):
    with pytest.raises(UserError, match="no images"):
        write_corpus([], tmp_path, "train")


def test_the_binary(tmp_path):
    flags = {
        "source": write_tsv(tmp_path),
        "captions": write_captions(tmp_path, **{"77": "a dog"}),
        "output": tmp_path / "corpus",
        "split": "train",
        "boxes": 4,
    }
    failed = binaries.run("experiments.build_corpus", **flags)
    assert failed.status == 1
    assert failed.err.startswith("error: ") and "image 77" in failed.err
    assert failed.err.count("\n") == 1
    more = {"skip_bad_rows": True, "limit": 3}
    done = binaries.run("experiments.build_corpus", **flags, **more)
    assert (done.status, done.err) == (0, "")
    assert "3 images, 3 captions" in done.out
    assert Corpus(flags["output"], "train").num_images == 3
