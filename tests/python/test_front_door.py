"""`import xabl`: the same numbers as the command, for a split and for one example."""

import json

import numpy as np
import pandas as pd
import pytest

import xabl
from tests.helpers import golden_world
from tests.helpers.ablation_binaries import STORE, Workshop, manifest
from xabl.results.conditions import Direction
from xabl.results.losses import LOSSES, columns_of

MODELS = ("uniter", "vl-bert", "two-stream")
FLAGS = {"vlbert_positions": "per_example", "save_predictions": 2}


@pytest.fixture(scope="module")
def workshop(tmp_path_factory):
    return Workshop(tmp_path_factory.mktemp("workshop"))


@pytest.fixture(scope="module", params=MODELS)
def scored(workshop, request):
    """A model, and the results directory of the command."""
    output = workshop.folder / f"results-{request.param}"
    model = workshop.small_model(request.param)
    flags = FLAGS | {"regions": workshop.regions(STORE), "thresholds": "0.0,0.5"}
    done = workshop.ablate(model=model, output=output, **flags)
    assert done.status == 0, done.err
    return xabl.load(model), output


@pytest.fixture(scope="module")
def two_stream(workshop):
    return xabl.load(workshop.small_model("two-stream"))


@pytest.fixture(scope="module")
def regions(workshop):
    return xabl.regions(workshop.regions(STORE), entities=golden_world.ENTITIES)


@pytest.fixture
def example(two_stream, regions):
    """A caption of one's own: it need not be in any data set."""
    return two_stream.example(
        regions[next(iter(regions))], "he throws a big ball", phrase=(2, 3)
    )


def read(results, name):
    return pd.read_parquet(results / f"{name}.parquet")


def assert_same(found, expected):
    """Equal frames, losses to 1e-6."""
    assert list(found) == list(expected)
    losses = [name for name in expected if name in LOSSES]
    np.testing.assert_allclose(found[losses], expected[losses], rtol=0, atol=1e-6)
    pd.testing.assert_frame_equal(
        found.drop(columns=losses), expected.drop(columns=losses), atol=1e-6
    )


def test_ablate_gives_what_the_command_writes(workshop, scored, tmp_path):
    model, output = scored
    scores = xabl.ablate(
        model,
        entities=golden_world.ENTITIES,
        regions=workshop.regions(STORE),
        thresholds=[0.0, 0.5],
        devices=1,
        **FLAGS,
    )
    assert_same(scores.frame(), read(output, "scores"))
    scores.save(tmp_path / "saved")
    for name, frame in (
        ("scores", scores.frame()),
        ("examples", scores.examples()),
        ("predictions", scores.predictions()),
    ):
        pd.testing.assert_frame_equal(frame, read(tmp_path / "saved", name))
        assert_same(frame, read(output, name))
    summary = (tmp_path / "saved" / "summary.tsv").read_text()
    assert len(scores.summary()) == len(summary.splitlines()) - 1
    expected = read(output, "scores").query("condition == 'all'").mlm.mean() / np.log(2)
    (row,) = (
        scores.summary().query("direction == 'vis4lang' and condition == 'all'").mlm
    )
    assert row == pytest.approx(expected, abs=1e-6) and f"{row:.4f}" in repr(scores)
    saved, written = manifest(tmp_path / "saved"), manifest(output)
    assert saved.keys() == written.keys() and saved["identity"] == written["identity"]
    with pytest.raises(xabl.UserError, match="holds results already"):
        scores.save(tmp_path / "saved")


def test_an_example_gives_its_rows(scored, regions):
    """Every condition of some phrases; the mean over the pieces of a phrase."""
    model, output = scored
    scores = read(output, "scores")
    for row in read(output, "examples").iloc[[0, 7, 40]].itertuples():
        example = model.example(
            regions[row.image_id],
            row.sentence,
            phrase=(row.first_word, row.num_words),
            boxes=json.loads(row.boxes),
        )
        assert example.phrase == row.phrase
        for expected in scores[scores.example == row.example].itertuples():
            if pd.notna(expected.excluded):
                continue
            if expected.direction == "vis4lang":
                found = example.ablate(expected.condition)
                assert len(found) == expected.target_pieces
                assert found.mlm.mean() == pytest.approx(expected.mlm, abs=1e-6)
                assert " ".join(found.predicted) == expected.predicted
                continue
            (found,) = example.ablate(words=expected.condition).itertuples()
            assert found.target_region == expected.target_region
            assert found.silver_class == expected.silver_class
            assert str(found.predicted) == expected.predicted
            for name in columns_of(Direction.LANG4VIS):
                value = getattr(expected, name)
                if np.isfinite(value):
                    assert getattr(found, name) == pytest.approx(value, abs=1e-6), name
