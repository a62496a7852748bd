"""The classes of words: from lists, from a tagger; guesses by frequency by hand."""

import dataclasses
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from tests.helpers import ablation, golden_world
from xabl.ablation import yardsticks
from xabl.ablation.plan import build_plan
from xabl.ablation.word_classes import by_lists, by_tagger
from xabl.data.flickr30k_entities import read_split
from xabl.errors import UserError
from xabl.models.visual_targets import VISUAL_TARGETS


def example(sentence):
    return dataclasses.replace(ablation.examples()[0], sentence=sentence)


def classes(found, sentence):
    return " ".join(found.by_sentence[sentence])


def test_lists_tell_classes_the_first_that_fits(tmp_path):
    names = tmp_path / "objects_vocab.txt"
    names.write_text("__background__\nman,men\ntraffic light\nlady\norange\nbus\n")
    attributes = tmp_path / "attributes_vocab.txt"
    attributes.write_text("__no_attribute__\nRed\norange\n")
    sentence = "Two men and 3 ladies wear red near the traffic LIGHTS , orange buses"
    found = by_lists(
        [example(sentence)] * 2, class_names=names, attribute_names=attributes
    )
    assert classes(found, sentence) == (
        "number noun function number noun other adjective function function other noun "
        "other noun noun"
    )
    assert found.source["from"] == "lists" and found.notice is None
    without = by_lists([example("a man")])
    assert classes(without, "a man") == "function other"
    assert "cannot tell nouns from other words" in without.notice
    with pytest.raises(UserError, match="not a readable list of classes"):
        by_lists([example("a man")], class_names=tmp_path / "none.txt")


def tagger(captions):
    """Tags like stanza's interface."""
    tags = {"two": "NUM", "dogs": "NOUN", "Rex": "PROPN", "run": "VERB", "big": "ADJ"}
    tags |= {"the": "DET", "and": "CCONJ", "to": "PART", "is": "AUX", "it": "PRON"}
    tags |= {"in": "ADP", "as": "SCONJ", "quickly": "ADV"}
    return SimpleNamespace(
        sentences=[
            SimpleNamespace(
                words=[
                    SimpleNamespace(text=word, upos=tags.get(word, "PUNCT"))
                    for word in caption
                ]
            )
            for caption in captions
        ]
    )


def test_a_tagger_tells_classes_by_universal_tags(monkeypatch):
    sentence = "two big dogs and Rex run quickly to the . in as it is"
    found = by_tagger([example(sentence)], tagger)
    assert classes(found, sentence) == (
        "number adjective noun function noun verb other function function other "
        "function function function function"
    )
    assert found.source == {"from": "stanza"} and found.notice is None
    with pytest.raises(UserError, match="does not keep the captions' words"):
        by_tagger([example("a b")], lambda c: tagger([[*c[0], "more"]]))
    monkeypatch.setitem(sys.modules, "stanza", None)
    with pytest.raises(UserError, match=r"\.\[tagger\]' in .*; or leave --tagger out"):
        by_tagger([example("a b")])
    broken = SimpleNamespace(Pipeline=lambda *_, **__: 1 / 0)
    monkeypatch.setitem(sys.modules, "stanza", broken)
    with pytest.raises(UserError, match=r"English model cannot be loaded .*division"):
        by_tagger([example("a b")])


def test_unigram_losses_of_words_by_hand():
    pieces, examples = ablation.word_pieces(), ablation.examples()
    images = read_split(golden_world.ENTITIES, "val")
    found = yardsticks.of_words(examples, images, pieces)
    text = [
        piece
        for image in images
        for caption in image.captions
        for piece in pieces.tokens(pieces.encode(caption.words).token_ids[1:-1])
    ]
    one = next(e for e in examples if len(e.pieces) > 1)
    shares = [
        (text.count(piece) + 1) / (len(text) + pieces.size)
        for piece in pieces.tokens(one.token_ids[one.pieces])
    ]
    place = examples.index(one)
    np.testing.assert_allclose(found.unigram["mlm"][place], -np.log(shares).mean())
    assert found.uniform == {"mlm": pytest.approx(np.log(pieces.size))}
    cut = [len(e.pieces) == 0 for e in examples]
    np.testing.assert_array_equal(np.isnan(found.unigram["mlm"]), cut)


@pytest.mark.parametrize("objective", ["0", "6", "3"])
def test_unigram_losses_of_classes_by_hand(objective):
    regions = ablation.regions()
    plan = build_plan(
        ablation.examples(),
        regions,
        ablation.FEW_CONDITIONS,
        mask_id=ablation.word_pieces().mask_id,
    )
    found = yardsticks.of_classes(plan, regions, VISUAL_TARGETS[objective])
    row = int(np.flatnonzero(plan.target >= 0)[0])
    top = regions.objects_id
    share = (top == plan.targets.objects_id[plan.target[row]]).mean()
    xe = found.unigram["mrc_xe_corrected"]
    assert xe[row] == pytest.approx(-np.log(share))
    assert np.isnan(xe[plan.target < 0]).all()
    # A part of a plan keeps the targets of the whole, some of classes not seen here.
    other = plan.target == plan.target.max()
    ids = plan.targets.objects_id.copy()
    ids[plan.target.max()] = top.max() + 1
    part = dataclasses.replace(
        plan,
        target=np.where(other, -1, plan.target),
        targets=dataclasses.replace(plan.targets, objects_id=ids),
    )
    alone = yardsticks.of_classes(part, regions, VISUAL_TARGETS[objective])
    expected = np.where(other, np.nan, xe)
    np.testing.assert_array_equal(alone.unigram["mrc_xe_corrected"], expected)
    size = 1600 if objective == "3" else 1601
    assert found.uniform["mrc_xe_corrected"] == pytest.approx(np.log(size))
    if objective == "3":
        assert list(found.unigram) == list(found.uniform) == ["mrc_xe_corrected"]
        return
    names = ["mrc_kl"] + (["mrc_kl_aligned"] if objective == "6" else [])
    assert list(found.unigram) == ["mrc_xe_corrected", *names]
    q = regions.cls_prob.astype(float).mean(axis=(0, 1))
    p = plan.targets.cls_prob[plan.target[row]].astype(float)
    for name in names:
        if name == "mrc_kl_aligned":
            p, q = p[1:], q[1:]
        p, q = p / p.sum(), q / q.sum()
        expected = np.sum(p[p > 0] * np.log(p[p > 0] / q[p > 0]))
        np.testing.assert_allclose(found.unigram[name][row], expected, rtol=1e-6)
        assert 0 < found.uniform[name] < np.log(1601)
    assert np.isnan(found.unigram["mrc_kl"][plan.target < 0]).all()
