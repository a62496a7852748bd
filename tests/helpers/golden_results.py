"""A results directory of the golden world against what the reference gave."""

import json
import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from tests.helpers import golden_world
from tests.helpers.ablation_binaries import columns, manifest
from xabl.ablation.plan import CUT_OFF, NO_TARGET
from xabl.results.conditions import Direction, all_conditions

TOLERANCE = 5e-6  # nats; 2e-6 is reached
CONDITIONS = all_conditions(list(Direction))


def assert_golden(output: Path, expected: Mapping[str, np.ndarray]) -> None:
    """Examples, targets, predictions, losses, counts and means are the reference's.

    Args:
        expected: the arrays of a golden ablation case.
    """
    assert_examples(output)
    assert_scores(output, expected)
    assert_words(output)
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


def assert_words(output):
    """The losses of the pieces average to those of the phrases."""
    keys = ["example", "direction", "condition"]
    scores, words = (pd.DataFrame(columns(output, n)) for n in ("scores", "words"))
    means = words.groupby(keys)["loss"].mean()
    mlm = scores.set_index(keys)["mlm"].dropna()
    assert len(means) == len(mlm) > 0
    np.testing.assert_allclose(means, mlm.loc[means.index], rtol=0, atol=1e-6)
    for sentence, start, end, piece in zip(
        columns(output, "examples")["sentence"][words["example"]],
        words["start"],
        words["end"],
        words["piece"],
        strict=True,
    ):
        word = sentence[start:end]
        assert word and " " not in word
        assert piece == "[UNK]" or piece.removeprefix("##") in word.lower()


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
