"""Every ablation case the reference gave, through the real binaries.

A PyTorch checkpoint is converted, regions are read from every published form, and
scores.parquet holds the examples, targets, predictions and losses of the reference.
"""

import json
import math

import numpy as np
import pytest

from tests.helpers import golden, golden_world
from tests.helpers.ablation_binaries import FORMS, STORE, columns, manifest
from tests.helpers.torch_writer import LAYOUTS
from xabl.ablation.conditions import Direction, all_conditions
from xabl.ablation.plan import CUT_OFF, NO_TARGET

TOLERANCE = 5e-6  # nats; 2e-6 is reached
CONDITIONS = all_conditions(list(Direction))
ZIP, SEQUENCE = LAYOUTS

# Each layout and each published form once, for one of each kind of region embeddings
# and of sublayers.
QUICK = {
    ("ctrl_uniter_base", "lmdb"),
    ("ctrl_uniter_base", "hdf5"),
    ("ctrl_vl-bert_base", "tsv"),
    ("lxmert", STORE),
}
# Reference batches are of 16 whatever the size of ours.
BATCH_SIZE = {"tsv": 5, STORE: 32}
CASES = [
    pytest.param(
        name,
        form,
        (SEQUENCE, ZIP)[number % 2],
        marks=() if (name, form) in QUICK else pytest.mark.slow,
    )
    for name in golden.ABLATION_CASES
    for number, form in enumerate(FORMS)
]


@pytest.mark.parametrize("name, form, layout", CASES)
def test_binaries_give_what_the_reference_gave(workshop, tmp_path, name, form, layout):
    output = tmp_path / "results"
    done = workshop.ablate(
        model=workshop.model(name, layout),
        regions=workshop.regions(form),
        batch_size=BATCH_SIZE.get(form),
        output=output,
    )
    assert done.status == 0, done.err
    expected = golden.ablation_case(name).arrays()
    has_kl = "lang4vis/none/kl" in expected
    with_cls_prob = form in (*golden_world.FORMS_WITH_CLS_PROB, STORE)
    # Said once, and only where a distribution is missed.
    assert done.err.count("no MRC-KL") == int(has_kl and not with_cls_prob)
    if not with_cls_prob:
        expected = {key: v for key, v in expected.items() if not key.endswith("/kl")}
    assert_examples(output)
    assert_scores(output, expected)
    assert_counts(output, expected)


def assert_examples(output):
    """The phrases the reference scored, in its order."""
    ours, published = columns(output, "examples"), golden_world.examples()
    np.testing.assert_array_equal(ours["example"], np.arange(len(published)))
    for name, theirs in {
        "image_id": "image_id",
        "phrase": "caption",
        "chain": "sent_id",
        "sentence": "sentence",
    }.items():
        assert ours[name].tolist() == [str(example[theirs]) for example in published]
    words = [example["first_word_index"] for example in published]
    np.testing.assert_array_equal(ours["first_word"], words)
    for boxes, example in zip(ours["boxes"], published, strict=True):
        np.testing.assert_array_equal(json.loads(boxes), example["refBoxes"])


def assert_scores(output, expected):
    """A row for each condition and example, equal to the reference's."""
    scores, published = columns(output), golden_world.examples()
    count = len(published)
    assert len(scores["example"]) == count * len(CONDITIONS)
    labels = np.array([example["lm_label_ids"] for example in published])
    for number, condition in enumerate(CONDITIONS):
        rows = slice(number * count, (number + 1) * count)
        ours = {name: column[rows] for name, column in scores.items()}
        assert set(ours["direction"]) == {condition.direction.value}
        assert set(ours["condition"]) == {condition.name}
        np.testing.assert_array_equal(ours["example"], np.arange(count))
        key = f"{condition.direction}/{condition.name.replace('@', '')}"
        if condition.direction is Direction.VIS4LANG:
            np.testing.assert_array_equal(
                ours["target_pieces"], (labels != -1).sum(axis=1)
            )
            # Phrases that were cut off are NaN there and null here.
            assert_close(ours["mlm"], expected[key])
            assert_excluded(ours, np.isnan(expected[key]), CUT_OFF, "mlm")
            continue
        kept = ours["excluded"] == None  # noqa: E711 - an array of objects
        for metric in ("kl", "xe"):
            theirs = expected.get(f"{key}/{metric}", np.full(count, np.nan))
            assert_close(ours[f"mrc_{metric}"][kept], theirs[kept])
        # The reference scores region 0, or nothing, where there is no target.
        no_target = ours["excluded"] == NO_TARGET
        np.testing.assert_array_equal(no_target, np.isnan(ours["target_region"]))
        np.testing.assert_array_equal(
            no_target, ours["image_id"] == golden_world.golden_images()[1].image_id
        )
        np.testing.assert_array_equal(
            ours["target_region"][~no_target],
            expected[f"{key}/target_region"][~no_target],
        )
        np.testing.assert_array_equal(
            ours["predicted"][kept].astype(int),
            expected[f"{key}/predicted_class"][kept],
        )
        cut_off = np.isnan(expected["vis4lang/none"]) & (condition.name == "phrase")
        assert_excluded(ours, ~kept, None, "mrc_xe", "mrc_xe_corrected", "mrc_kl")
        np.testing.assert_array_equal(ours["excluded"] == CUT_OFF, cut_off & ~no_target)


def assert_close(ours, theirs):
    np.testing.assert_allclose(ours, theirs, atol=TOLERANCE, rtol=0)


def assert_excluded(ours, which, reason, *losses):
    """Excluded, for that reason if given, and without losses or a prediction."""
    if reason is not None:
        np.testing.assert_array_equal(ours["excluded"] == reason, which)
    for loss in losses:
        assert np.isnan(ours[loss][which]).all()
    assert set(ours["predicted"][which]) <= {None}


def assert_counts(output, expected):
    """What was excluded is counted, and the means are over the rest."""
    cut_off = int(np.isnan(expected["vis4lang/none"]).sum())
    assert manifest(output)["excluded"] == {NO_TARGET: 13, CUT_OFF: cut_off}
    header, *lines = (output / "summary.tsv").read_text().splitlines()
    assert header.split("\t")[:4] == ["Model", "Mask", "Direction", "MLM"]
    rows = [line.split("\t") for line in lines]
    for condition, row in zip(CONDITIONS[:12], rows, strict=False):
        key = f"vis4lang/{condition.name.replace('@', '')}"
        mean = np.nanmean(expected[key]) / math.log(2)
        assert abs(float(row[3]) - mean) < TOLERANCE / math.log(2)
        assert row[-2:] == [str(80 - cut_off), str(cut_off)]
    excluded = [int(row[-1]) for row in rows[12:]]
    assert excluded == [13, 13 + cut_off, 13]
