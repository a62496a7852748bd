"""The captions, phrases and boxes of Flickr30k Entities."""

import shutil

import numpy as np
import pytest

from tests.helpers.golden_world import ENTITIES, examples
from xabl.data.annotated_boxes import read_boxes
from xabl.data.flickr30k_entities import (
    mentions,
    parse_caption,
    read_image_ids,
    read_split,
)
from xabl.errors import UserError

XML = """<annotation>
	<size><width>500</width><height>375</height></size>
	<object>
		<name>1</name>
		<name>6</name>
		<bndbox><xmin>197</xmin><ymin>110</ymin><xmax>261</xmax><ymax>373</ymax></bndbox>
	</object>
	<object>
		<name>6</name>
		<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>500</xmax><ymax>375</ymax></bndbox>
	</object>
	<object><name>7</name><scene>1</scene><nobndbox>0</nobndbox></object>
	<object><name>8</name><scene>0</scene><nobndbox>1</nobndbox></object>
</annotation>
"""


@pytest.fixture
def entities(tmp_path):
    """A copy of the golden world's annotations that a test may damage."""
    return shutil.copytree(ENTITIES, tmp_path / "entities")


def test_examples_are_the_published_ones_in_the_published_order():
    found = list(mentions(read_split(ENTITIES, "val")))
    assert len(found) == len(examples()) == 80
    for mention, expected in zip(found, examples(), strict=True):
        assert mention.image.image_id == str(expected["image_id"])
        assert mention.phrase.chain == str(expected["sent_id"])
        assert mention.phrase.first_word == expected["first_word_index"]
        assert mention.caption.text_of(mention.phrase) == expected["caption"]
        assert " ".join(mention.caption.words) == expected["sentence"]
        assert mention.boxes.tolist() == expected["refBoxes"]


def test_types_and_sizes_are_read():
    last = read_split(ENTITIES, "val")[-1]
    assert (last.width, last.height) == (500, 333)
    assert [phrase.types for phrase in last.captions[0].phrases] == [
        ("clothing",),
        ("clothing", "scene"),
        ("vehicles",),
        ("people",),
    ]


def test_caption_without_its_brackets():
    caption = parse_caption("[/EN#1/people Two men] , in [/EN#0/notvisual it ] .", "")
    assert caption.words == ("Two", "men", ",", "in", "it", ".")
    first, second = caption.phrases
    assert (first.chain, first.first_word, first.num_words) == ("1", 0, 2)
    assert (second.chain, second.types, second.first_word) == ("0", ("notvisual",), 4)


def test_chain_zero_has_no_boxes_and_is_no_example():
    images = read_split(ENTITIES, "val")
    in_captions = {p.chain for i in images for c in i.captions for p in c.phrases}
    assert "0" in in_captions
    assert "0" not in {mention.phrase.chain for mention in mentions(images)}


def test_boxes_are_counted_from_zero_and_shared_by_all_names(tmp_path):
    (tmp_path / "1.xml").write_text(XML)
    width, height, boxes = read_boxes(tmp_path / "1.xml")
    assert (width, height) == (500, 375)
    assert sorted(boxes) == ["1", "6"]  # 7 is the scene, 8 has no box
    np.testing.assert_array_equal(boxes["1"], [[196, 109, 260, 372]])
    np.testing.assert_array_equal(boxes["6"], [[196, 109, 260, 372], [0, 0, 499, 374]])


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("[/EN#1/people a man walks", "unbalanced brackets: the phrase of chain 1"),
        ("[/EN#1/people a [/EN#2/other hat] .", "unbalanced brackets: .* inside"),
        ("a man] walks", "unbalanced brackets at 'man]'"),
        ("[/EN#1/people a man]] walks", "unbalanced brackets"),
        ("[/EN#1/people a m[an] walks", "unbalanced brackets"),
        ("[/EN#1/people ] walks", "chain 1 has no words"),
        ("[/EN#1/people] walks", "has no words"),
        ("[/EN#1 a man] walks", "does not open a phrase"),
        ("[/EN#one/people a man] walks", "does not open a phrase"),
        ("[a man] walks", "does not open a phrase"),
        ("   ", "an empty caption"),
    ],
)
def test_bad_caption_is_refused_with_its_place(line, message):
    with pytest.raises(UserError, match=rf"^7\.txt, line 3: .*{message}"):
        parse_caption(line, "7.txt, line 3")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("<size>", "<sise>", "line 2: malformed XML"),
        ("</annotation>", "", "line 1[0-9]: malformed XML: no element"),
        ("<size><width>500</width><height>375</height></size>", "", "no size/width"),
        ("<width>500</width>", "", "no size/width"),
        ("<width>500</width>", "<width>0</width>", "an image of 0 x 375"),
        ("<width>500</width>", "<width>wide</width>", "line 2: size/width is 'wide'"),
        ("<width>500</width>", "<width>inf</width>", "line 2: size/width is 'inf'"),
        ("<xmin>197</xmin>", "", "line 6: no xmin in <bndbox>"),
        ("<xmin>197</xmin>", "<xmin>300</xmin>", "line 6: the box is inverted"),
        ("<ymax>373</ymax>", "<ymax>10</ymax>", "line 6: the box is inverted"),
        (
            "<xmin>197</xmin><ymin>110</ymin><xmax>261</xmax>",
            "<xmin>501</xmin><ymin>110</ymin><xmax>600</xmax>",
            "line 6: the box lies outside the image of 500 x 375",
        ),
        ("<name>7</name>", "", "line 1[0-9]: an object without name"),
        ("<scene>1</scene><nobndbox>0</nobndbox>", "", "neither bndbox nor"),
        (
            "<annotation>",
            '<!DOCTYPE a [<!ENTITY b "c"><!ENTITY d "&b;&b;&b;">]><annotation>',
            "declares a document type",
        ),
    ],
)
def test_bad_xml_is_refused_with_its_place(tmp_path, old, new, message):
    assert XML.count(old) == 1
    path = tmp_path / "1.xml"
    path.write_text(XML.replace(old, new))
    with pytest.raises(UserError, match=message) as error:
        read_boxes(path)
    assert str(path) in str(error.value)


def test_xml_that_names_an_unknown_entity_is_malformed(tmp_path):
    (tmp_path / "1.xml").write_text(XML.replace("500</width>", "&big;</width>"))
    with pytest.raises(UserError, match="malformed XML: undefined entity"):
        read_boxes(tmp_path / "1.xml")


def test_image_without_annotation_or_sentences_is_named(entities):
    (entities / "Annotations" / "4718090113.xml").unlink()
    with pytest.raises(UserError, match=r"Annotations/4718090113\.xml is missing"):
        read_split(entities, "val")
    (entities / "Sentences" / "4718074487.txt").unlink()
    with pytest.raises(UserError, match=r"Sentences/4718074487\.txt is missing"):
        read_split(entities, "val")


def test_bad_images_can_be_collected_instead(entities):
    sentences = entities / "Sentences" / "4718082518.txt"
    sentences.write_text(sentences.read_text().replace("]", "", 1))
    (entities / "Annotations" / "4718090113.xml").write_text("<annotation/>")
    collected = {}
    images = read_split(
        entities, "val", on_error=lambda image, error: collected.update({image: error})
    )
    assert len(images) == 4
    assert list(collected) == ["4718082518", "4718090113"]
    assert "4718082518.txt, line 1: unbalanced" in str(collected["4718082518"])
    assert "4718090113.xml, line 1: no size" in str(collected["4718090113"])


def test_empty_files_are_refused(entities):
    (entities / "Sentences" / "4718074487.txt").write_text("\n")
    with pytest.raises(UserError, match=r"4718074487\.txt: no captions"):
        read_split(entities, "val")
    sentences = entities / "Sentences" / "4718074487.txt"
    sentences.write_text("a man .\n\na dog .\n")
    with pytest.raises(UserError, match=r"4718074487\.txt, line 2: an empty caption"):
        read_split(entities, "val")
    sentences.write_bytes(b"caf\xe9 .\n")
    with pytest.raises(UserError, match="byte 3 is not UTF-8"):
        read_split(entities, "val")


def test_directory_and_split_have_to_be_there(entities, tmp_path):
    with pytest.raises(UserError, match="no folder Sentences; unpack"):
        read_split(tmp_path, "val")
    with pytest.raises(UserError, match=r"test\.txt is missing; splits .*: val"):
        read_split(entities, "test")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no image ids"),
        ("1\n\n2\n", "line 2: '' is not an image id"),
        ("1\n2 3\n", "line 2: '2 3' is not an image id"),
        ("1\n../../etc/passwd\n", "line 2: .* is not an image id"),
        ("1\n2\n1\n", "line 3: image 1 stands on line 1 already"),
    ],
)
def test_bad_list_of_ids_is_refused(tmp_path, text, message):
    (tmp_path / "val.txt").write_text(text)
    with pytest.raises(UserError, match=message):
        read_image_ids(tmp_path / "val.txt")
