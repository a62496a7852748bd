"""What the flags of xabl ablate do, by what the real binary writes."""

import dataclasses
import json
import os
import re
import shutil

import numpy as np
import pytest

from tests.helpers import ablation, binaries, golden_world
from tests.helpers.ablation_binaries import columns, manifest, save
from tests.helpers.torch_writer import write_torch_file
from xabl.ablation.plan import NO_REGIONS
from xabl.data.regions import lmdb_files
from xabl.data.regions.description import evenly

pytestmark = pytest.mark.usefixtures("quick_unless_slow")

TOLERANCE = 5e-6  # nats


@pytest.fixture(scope="module")
def two_stream(workshop):
    return workshop.small_model("two-stream")


@pytest.fixture(scope="module")
def whole(workshop, two_stream, tmp_path_factory):
    """Results of the whole split, with predictions."""
    output = tmp_path_factory.mktemp("whole") / "results"
    done = workshop.ablate(
        model=two_stream,
        thresholds="0.5",
        save_predictions=3,
        label="My model",
        model_seed=7,
        output=output,
    )
    assert done.status == 0, done.err
    assert "published" not in done.out
    return output


def hugging_face_name(name):
    """Our reference's name of a text-only BERT's tensor, as Hugging Face has it."""
    found = re.fullmatch(
        r"bert\.encoder\.layer\.(\d+)\.(attention_self|attention_output|intermediate"
        r"|output)\.(.*)",
        name,
    )
    if found is None:
        return name
    sublayer, part, rest = found.groups()
    part = part.replace("_", ".")
    return f"bert.encoder.layer.{int(sublayer) // 2}.{part}.{rest}"


def test_text_only_baseline(workshop, tmp_path):
    """convert_bert, then vis4lang's task from the caption alone."""
    config = dataclasses.replace(
        ablation.shallow("bert"),
        bert_layer2attn_sublayer=((0, 0), (1, 2)),
        bert_layer2ff_sublayer=((0, 1), (1, 3)),
    )
    (tmp_path / "bert.json").write_text(json.dumps(config.to_dict()))
    tensors = ablation.ruled_tensors(config)
    state = {hugging_face_name(name): value for name, value in tensors.items()}
    assert any("attention.self.query" in name for name in state)
    converted = binaries.run(
        "checkpoints_conversion.convert_bert",
        checkpoint=write_torch_file(tmp_path / "pytorch_model.bin", state, "zip"),
        config=tmp_path / "bert.json",
        vocab=golden_world.VOCABULARY,
        output=tmp_path / "model",
    )
    assert converted.status == 0, converted.err
    output = tmp_path / "results"
    done = workshop.ablate(model=tmp_path / "model", regions=None, output=output)
    assert done.status == 0, done.err
    assert "vis4lang only: " in done.err and "reads words alone" in done.err
    found = columns(output)
    assert set(found["condition"]) == {"none"}
    assert len(found["mlm"]) == 80 and set(found["direction"]) == {"vis4lang"}
    params = ablation.params_of(tensors, config)
    expected = ablation.scored(config, params, conditions=ablation.VIS4LANG[:1])
    np.testing.assert_allclose(
        found["mlm"], expected.loss("mlm")[:, 0], atol=TOLERANCE, rtol=0
    )
    assert manifest(output)["data"]["regions_sha256"] is None
    assert np.isnan(found["ablated_regions"]).all()


def test_predictions_are_those_of_the_scores(whole):
    scores, found = columns(whole), columns(whole, "predictions")
    assert set(found["rank"]) == {1, 2, 3}
    best = found["rank"] == 1
    predicted = {}
    for example, direction, condition, prediction in zip(
        *(found[n][best] for n in ("example", "direction", "condition", "prediction")),
        strict=True,
    ):
        predicted.setdefault((example, direction, condition), []).append(prediction)
    names = ("example", "direction", "condition", "predicted")
    rows = zip(*(scores[name] for name in names), strict=True)
    expected = {tuple(key): text.split() for *key, text in rows if text is not None}
    assert predicted == expected and len(expected) > 300
    probability = found["probability"].reshape(-1, 3)
    assert (np.diff(probability, axis=1) <= 0).all() and probability.min() > 0


def test_label_and_seed_are_in_the_tables(whole):
    found = manifest(whole)["model"]
    assert (found["label"], found["seed"]) == ("My model", 7)
    assert found["name"] == "shallow_two_stream"
    lines = (whole / "summary.tsv").read_text().splitlines()[1:]
    assert {line.split("\t")[0] for line in lines} == {"My model"}


def test_a_part_is_spread_over_the_whole(workshop, two_stream, whole, tmp_path):
    """Over all 6 images; averages are the split's; more predictions than classes."""
    output = tmp_path / "results"
    done = workshop.ablate(
        model=two_stream,
        thresholds="0.5",
        directions="vis4lang",
        limit=16,
        vocab=golden_world.VOCABULARY,
        save_predictions=1000,
        output=output,
    )
    assert done.status == 0, done.err
    part, all_of_it = columns(output), columns(whole)
    rows = np.isin(all_of_it["example"], evenly(80, 16))
    rows &= all_of_it["direction"] == "vis4lang"
    assert len(part["mlm"]) == rows.sum() == 3 * 16
    assert len(set(part["image_id"])) == 6
    for name in ("example", "condition", "predicted", "ablated_regions"):
        np.testing.assert_array_equal(part[name], all_of_it[name][rows])
    np.testing.assert_allclose(
        part["mlm"], all_of_it["mlm"][rows], atol=TOLERANCE, rtol=0
    )
    assert columns(output, "predictions")["rank"].max() == 284  # every piece
    data = manifest(output)["data"]
    assert (data["limit"], data["examples_total"]) == (16, 80)
    # The model's own vocabulary, and the one given.
    assert data["vocab_sha256"] == manifest(whole)["data"]["vocab_sha256"]


def test_explain_computes_and_writes_nothing(workshop, two_stream, tmp_path):
    for output in (None, tmp_path / "results"):
        done = binaries.run(
            "experiments.ablate",
            cache=tmp_path / "cache",
            **workshop.flags(model=two_stream, output=output, explain=True),
        )
        assert done.status == 0, done.err
        assert "scored inputs (example, condition)" in done.out
        assert "less than the naive way" in done.out
        (here,) = re.findall(r"^this machine +([\d.]+) +([\d.]+)$", done.out, re.M)
        assert "timed just now" in done.out and float(here[1]) > 0
        assert "inputs [" not in done.err  # no progress
        assert not (tmp_path / "results").exists()
        # Nor was anything compiled that is worth keeping.
        compiled = tmp_path / "cache" / "xabl" / "compiled"
        assert not compiled.exists() or os.listdir(compiled) == []
    assert binaries.run(
        "experiments.ablate", **workshop.flags(model=two_stream)
    ).err.startswith("error: --output: ")


def test_bad_images_are_skipped_on_request(workshop, two_stream, tmp_path):
    """A caption that cannot be read, and an image without regions."""
    entities = shutil.copytree(golden_world.ENTITIES, tmp_path / "entities")
    images = golden_world.golden_images()
    bad, missing = images[2].image_id, images[4].image_id
    (entities / "Sentences" / f"{bad}.txt").write_text("[/EN#1/people a man\n")
    kept = [image for image in images if image.image_id != missing]
    lmdb_files.write(tmp_path / "lmdb", kept)
    flags = {
        "model": two_stream,
        "entities": entities,
        "regions": tmp_path / "lmdb",
        "thresholds": "0.5",
        "output": tmp_path / "results",
    }
    refused = workshop.ablate(**flags)
    assert refused.status == 1
    assert f"{bad}.txt, line 1: unbalanced brackets" in refused.err
    assert not (tmp_path / "results").exists()
    done = workshop.ablate(**flags, skip_bad_examples=True)
    assert done.status == 0, done.err
    found = manifest(tmp_path / "results")
    assert found["skipped"].keys() == {bad, missing}
    for image_id, reason in found["skipped"].items():
        assert f"skipped: {reason}" in done.err and image_id in reason
    scores = columns(tmp_path / "results")
    assert bad not in scores["image_id"]
    of_missing = scores["image_id"] == missing
    assert of_missing.any() and set(scores["excluded"][of_missing]) == {NO_REGIONS}
    assert found["excluded"][NO_REGIONS] == len(set(scores["example"][of_missing]))
    others = ~of_missing & (scores["direction"] == "vis4lang")
    assert np.isfinite(scores["mlm"][others]).all()


def test_without_distributions_there_is_no_kl(workshop, two_stream, whole, tmp_path):
    output = tmp_path / "results"
    done = workshop.ablate(
        model=two_stream,
        regions=workshop.regions("hdf5"),
        directions="lang4vis",
        output=output,
    )
    assert done.status == 0, done.err
    assert done.err.count("cls_prob") == 1 and "MRC-XE is given" in done.err
    found, with_kl = columns(output), columns(whole)
    rows = with_kl["direction"] == "lang4vis"
    assert np.isnan(found["mrc_kl"]).all() and np.isfinite(with_kl["mrc_kl"]).any()
    for name in ("mrc_xe", "mrc_xe_corrected"):
        np.testing.assert_allclose(
            found[name], with_kl[name][rows], atol=TOLERANCE, rtol=0
        )


def test_vocabulary_has_to_be_somewhere(workshop, tmp_path):
    config = ablation.shallow("bert")
    params = ablation.ruled_params(config)
    save(tmp_path / "model", config, params, vocabulary=None)
    done = workshop.ablate(model=tmp_path / "model", output=tmp_path / "results")
    assert done.status == 1
    assert "no vocabulary was kept with this model; give" in done.err
    assert "--vocab" in done.err
