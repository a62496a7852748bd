"""Text as other programs save it, ids that do not meet, fields with an effect."""

import codecs
import dataclasses
import json
import shutil

import pytest

from tests.helpers import ablation, golden_world
from tests.helpers.golden_world import ENTITIES, VOCABULARY, golden_images
from xabl.ablation.inputs import read_inputs
from xabl.ablation.options import InputFiles
from xabl.data.annotated_boxes import read_boxes
from xabl.data.flickr30k_entities import read_image_ids
from xabl.data.regions import open_regions, tsv_files
from xabl.data.word_pieces import WordPieces
from xabl.errors import UserError, visible
from xabl.inspection import inspect_path
from xabl.models.config import ModelConfig
from xabl.models.presets import PRESETS
from xabl.support.files import read_json, read_text

IMAGES = golden_images()
IDS = [image.image_id for image in IMAGES]
SIZES = {i.image_id: (i.img_w, i.img_h) for i in IMAGES}


@pytest.fixture
def entities(tmp_path):
    return shutil.copytree(ENTITIES, tmp_path / "entities")


@pytest.fixture(scope="module")
def regions(tmp_path_factory):
    return golden_world.write_regions(tmp_path_factory.mktemp("regions"), "tsv")


def read(entities, regions, vocabulary=VOCABULARY, **changed):
    said = []
    files = InputFiles(entities=entities, regions=regions, vocabulary=vocabulary)
    config = dataclasses.replace(ablation.shallow("uniter"), **changed)
    return read_inputs(files, said.append, config=config), said


# ---- Text ----


@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_byte_order_marks_and_line_ends_change_nothing(
    entities, regions, tmp_path, ends
):
    right, _ = read(entities, regions)
    vocabulary = shutil.copy(VOCABULARY, tmp_path / "vocab.txt")
    files = [*entities.rglob("*.txt"), *entities.rglob("*.xml"), vocabulary]
    for path in files:
        text = path.read_text(encoding="utf-8").replace("\n", ends)
        path.write_bytes(codecs.BOM_UTF8 + text.encode())
    marked = tmp_path / "marked.tsv"
    marked.write_bytes(codecs.BOM_UTF8 + regions.read_bytes())
    found, said = read(entities, marked, vocabulary)
    assert said == []
    assert [e.token_ids.tolist() for e in found.plan.examples] == [
        e.token_ids.tolist() for e in right.plan.examples
    ]
    assert found.hashes["regions_sha256"] == right.hashes["regions_sha256"]
    assert inspect_path(vocabulary).kind == "vocabulary of word pieces"
    assert inspect_path(entities).problems == ()


def test_json_with_a_byte_order_mark_is_read(tmp_path):
    (tmp_path / "a.json").write_bytes(codecs.BOM_UTF8 + b'{"a": 1}')
    assert read_json(tmp_path / "a.json", "numbers") == {"a": 1}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1, "b": {"a": 1, "a": 2}}', "'a' is given twice"),
        ('{"a": "\\uD83D"}', r"'\\ud83d' is half a character"),
        ("[" * 5000, "nested too deeply"),
        (f'{{"a": 1{"0" * 5000}}}', "not JSON"),
    ],
)
def test_json_that_nobody_can_keep_is_refused(tmp_path, text, message):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(UserError, match=rf"a\.json: not JSON .*{message}|{message}"):
        read_json(tmp_path / "a.json", "numbers")
    whole = {"a": "\U0001f415"}  # written as two halves
    (tmp_path / "a.json").write_text(json.dumps(whole))
    assert read_json(tmp_path / "a.json", "numbers") == whole


def test_what_is_quoted_makes_no_endless_message():
    said = str(UserError(f"a.json: {'x' * 10**6}; correct it\nsecond"))
    assert len(said) < 2100 and said.startswith("a.json: xxx")
    assert said.endswith("x; correct it\nsecond")


@pytest.mark.parametrize("encoding", ["utf-16", "latin-1"])
def test_text_in_another_encoding_is_named(tmp_path, encoding):
    (tmp_path / "a.txt").write_bytes("é\n".encode(encoding))
    with pytest.raises(UserError, match=r"a\.txt: byte \d is not UTF-8 text; expected"):
        read_text(tmp_path / "a.txt")


@pytest.mark.parametrize("invisible", ["\u200b", "\ufeff", "\xa0", "\x00", "\x1b[2J"])
def test_what_does_not_show_is_shown_in_messages(tmp_path, invisible):
    (tmp_path / "val.txt").write_text(f"17\n10{invisible}2\n", encoding="utf-8")
    with pytest.raises(UserError, match="line 2: .* is not an image id") as error:
        read_image_ids(tmp_path / "val.txt")
    assert ascii(invisible)[1:-1] in str(error.value)
    assert visible(str(error.value)) == str(error.value)
    named = UserError(f"Sentences/{invisible}7.txt is missing\nsecond line é")
    assert str(named) == (
        f"Sentences/{ascii(invisible)[1:-1]}7.txt is missing\nsecond line é"
    )


@pytest.mark.parametrize("encoding", ["klingon", "big5", "utf-16"])
def test_annotations_in_an_encoding_nobody_reads_are_named(entities, encoding):
    path = entities / "Annotations" / f"{IDS[0]}.xml"
    declared = f'<?xml version="1.0" encoding="{encoding}"?>'
    path.write_text(declared + path.read_text())
    with pytest.raises(
        UserError, match=rf"{IDS[0]}\.xml, line 1: malformed XML: .*cod"
    ):
        read_boxes(path)


# ---- Ids that do not meet ----


def renamed(entities, images, new="[/EN#9"):
    for image_id in images:
        path = entities / "Sentences" / f"{image_id}.txt"
        path.write_text(path.read_text().replace("[/EN#", new))


@pytest.mark.parametrize("count", [4, 6])
def test_sentences_of_another_release_are_refused(entities, regions, count):
    renamed(entities, IDS[:count])
    shown = (
        rf"in {count} of 6 images no phrase has a box: .* chain 9\d+, Annotations \d+"
    )
    with pytest.raises(UserError, match=shown):
        read(entities, regions)
    assert "no phrase has a box" in inspect_path(entities).problems[0]


def test_one_image_whose_phrases_have_no_box_is_left_as_it_is(entities, regions):
    renamed(entities, IDS[:1])
    found, _ = read(entities, regions)
    assert {e.image_id for e in found.plan.examples} == set(IDS[1:])


def test_annotations_without_any_box_are_a_problem(entities, regions):
    for path in (entities / "Annotations").iterdir():
        text = path.read_text()
        while "<object>" in text:
            start, end = text.index("<object>"), text.index("</object>")
            text = text[:start] + text[end + len("</object>") :]
        path.write_text(text)
    with pytest.raises(UserError, match="no phrase of 6 images has a box"):
        read(entities, regions)
    assert "no phrase of 6" in inspect_path(entities).problems[0]


def test_regions_of_other_images_are_named(regions, tmp_path):
    others = [dataclasses.replace(i, image_id="9" + i.image_id) for i in IMAGES]
    tsv_files.write(tmp_path / "t.tsv", others)
    with open_regions(tmp_path / "t.tsv") as source:
        with pytest.raises(UserError, match=f"has no regions for image {IDS[0]}"):
            source.read_all(IDS, sizes=SIZES)


# ---- Fields with an effect ----

FIELDS = PRESETS["ctrl_uniter_base"].to_dict()


def test_text_is_lower_cased_only_for_models_that_ask_for_it(tmp_path):
    pieces = "[PAD] [UNK] [CLS] [SEP] [MASK] a A the The e É".split()
    (tmp_path / "vocab.txt").write_text("\n".join(pieces) + "\n", encoding="utf-8")
    words = ["The", "É", "A"]

    def read_by(config):
        word_pieces = WordPieces(
            tmp_path / "vocab.txt", lower_case=config.do_lower_case
        )
        return word_pieces.tokens(word_pieces.encode(words).token_ids)[1:-1]

    cased = ModelConfig.from_dict(FIELDS | {"do_lower_case": False})
    assert read_by(cased) == ["The", "É", "A"]
    assert read_by(ModelConfig.from_dict(FIELDS)) == ["the", "e", "a"]
    assert ModelConfig.from_dict(cased.to_dict()) == cased


def test_a_cased_model_scores_cased_text(entities, regions):
    path = entities / "Sentences" / f"{IDS[0]}.txt"
    path.write_text(path.read_text().upper())
    lower, quiet = read(entities, regions)
    cased, said = read(entities, regions, do_lower_case=False)
    unknown = WordPieces(VOCABULARY).unk_id
    mine = [e for e in cased.plan.examples if e.image_id == IDS[0]]
    assert all(unknown in e.token_ids for e in mine)
    assert [e.token_ids.tolist() for e in lower.plan.examples] != [
        e.token_ids.tolist() for e in cased.plan.examples
    ]
    assert quiet == []
    [line] = said
    assert "no piece has a capital, but the model does not lower-case text" in line


@pytest.mark.parametrize(
    ("name", "given", "lower"),
    [
        ("bert-base-multilingual-cased", {}, False),
        ("bert-base-uncased", {}, True),
        ("bert-base-cased", {"do_lower_case": False}, False),
    ],
)
def test_the_name_of_bert_says_it_too(name, given, lower):
    config = ModelConfig.from_dict(FIELDS_WITHOUT_CASE | {"bert_model": name} | given)
    assert config.do_lower_case is lower


FIELDS_WITHOUT_CASE = {k: v for k, v in FIELDS.items() if k != "do_lower_case"}


@pytest.mark.parametrize(
    "changed",
    [
        {"bert_model": "bert-base-cased", "do_lower_case": True},
        {"bert_model": "bert-base-uncased", "do_lower_case": False},
        {"do_lower_case": "no"},
        {"do_lower_case": 0},
        {"fixed_layers": [0, 1]},
        {"objective": 2},
        {"v_initializer_range": 0.5},
        {"max_boxes": 100},
        {"norm_embeddings": True},
        {"visualization": True},
        {"vocab_size": True},
    ],
    ids=lambda changed: "-".join(changed),
)
def test_what_would_compute_something_else_is_refused(changed):
    with pytest.raises(UserError, match=list(changed)[-1]):
        ModelConfig.from_dict(FIELDS | changed)


def test_a_corpus_takes_listed_images_under_any_name(tmp_path, regions):
    """A folder of sentences has `val.txt`, the training wants "valid"."""
    from xabl.pretraining.corpus.sources import read_captioned_images

    found = read_captioned_images(regions, ENTITIES, "valid", image_ids=IDS[1:3])
    assert [image.regions.image_id for image in found] == IDS[1:3]
    with pytest.raises(UserError, match=r"valid\.txt is missing; splits in"):
        list(read_captioned_images(regions, ENTITIES, "valid"))
