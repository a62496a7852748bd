"""A flipped bit in what a run keeps is noticed, named and answered."""

import random
import re
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import SingleDeviceSharding

from tests.helpers import ablation, tiny_corpus
from xabl.ablation.engine.unfinished import KeptScores
from xabl.ablation.plan import build_plan
from xabl.errors import UserError
from xabl.pretraining.checkpoints import Checkpoints
from xabl.pretraining.corpus.reader import Corpus
from xabl.results.conditions import Direction


def flipped(path, drawn):
    content = bytearray(path.read_bytes())
    content[drawn.randrange(len(content))] ^= 1 << drawn.randrange(8)
    path.write_bytes(content)


# ---- Kept scores ----


@pytest.fixture(scope="module")
def plan():
    return build_plan(
        ablation.examples()[:20],
        ablation.regions(),
        ablation.VIS4LANG,
        mask_id=ablation.word_pieces().mask_id,
        vlbert_positions=None,
    )


@pytest.fixture
def kept(plan, tmp_path):
    """Two parts, each of half of the pairs."""
    scores = KeptScores(tmp_path / "kept")
    scores.begin({"run": 1})
    for pairs in np.array_split(np.arange(len(plan.mlm)), 2):
        losses = np.linspace(0, 1, len(pairs), dtype=np.float32)
        values = {"mlm": losses, "piece_loss": losses[:, None]}
        scores.add(Direction.VIS4LANG, pairs, values)
        scores.flush()
    return scores


def test_damaged_parts_of_kept_scores_are_scored_again(kept, plan, capfd):
    whole = kept.load({"run": 1}, plan)
    assert capfd.readouterr().err == ""
    parts = sorted(kept.folder.glob("part-*.npz"))
    assert len(parts) == 2
    content = parts[1].read_bytes()
    drawn = random.Random(0)
    refused = 0
    for _ in range(25):
        parts[1].write_bytes(content)
        flipped(parts[1], drawn)
        found = kept.load({"run": 1}, plan)
        said = capfd.readouterr().err
        if not said:  # a byte that nobody reads, as a date
            assert found.num_scored == whole.num_scored
        else:
            refused += 1
            assert 0 < found.num_scored < whole.num_scored
            assert f"{parts[1]}: damaged (" in said and "scored again" in said
    assert refused > 10


def test_a_copy_beside_a_part_is_no_matter(kept, plan):
    whole = kept.load({"run": 1}, plan)
    _, second = sorted(kept.folder.glob("part-*.npz"))
    shutil.copy(second, second.with_stem(f"{second.stem} (copy)"))
    values = {"mlm": np.zeros(1, np.float32), "piece_loss": np.zeros((1, 1), "f4")}
    kept.add(Direction.VIS4LANG, np.arange(1), values)
    kept.flush()
    assert len(list(kept.folder.glob("part-*.npz"))) == 4
    assert kept.load({"run": 1}, plan).num_scored == whole.num_scored


def test_kept_scores_of_nobody_are_named(kept, plan):
    (kept.folder / "run.json").write_text("{")
    with pytest.raises(UserError, match="run.json is damaged .*start again with --ov"):
        kept.load({"run": 1}, plan)


# ---- Checkpoints ----


def test_a_flipped_bit_in_a_checkpoint_leads_to_the_one_before(tmp_path, capfd):
    def state(value):
        return {"weights": jnp.full((64, 64), value), "step": jnp.array(int(value))}

    folder = tmp_path / "checkpoints"
    with Checkpoints(folder, keep_last=3) as checkpoints:
        for step in (1, 2):
            checkpoints.save(step, state(float(step)), {"examples": step})
    sharding = SingleDeviceSharding(jax.devices()[0])
    like = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding),
        state(0.0),
    )
    largest = max(
        (path for path in (folder / "2" / "state").rglob("*") if path.is_file()),
        key=lambda path: path.stat().st_size,
    )
    flipped(largest, random.Random(1))
    with Checkpoints(folder, keep_last=3) as checkpoints:
        found, position = checkpoints.restore(like)
    assert position == {"examples": 1} and int(found["step"]) == 1
    np.testing.assert_array_equal(found["weights"], np.ones((64, 64)))
    said = capfd.readouterr().err
    assert "checkpoint 2 is damaged (" in said
    assert f"{largest.relative_to(folder / '2')}: not the bytes that were" in said


def test_a_removal_that_was_interrupted_is_ended(tmp_path, capfd):
    """Nothing is said of what is replaced; what was to be kept is set aside."""
    folder = tmp_path / "checkpoints"
    with Checkpoints(folder, keep_last=9) as checkpoints:
        for step in range(1, 8):
            checkpoints.save(step, {"step": jnp.array(step)}, {"examples": step})
    for step in (1, 2, 4, 6):  # metadata goes first, or the list of files
        (folder / str(step) / "_CHECKPOINT_METADATA").unlink()
    (folder / "2" / "files.json").unlink()
    others = {"\u00b2", "\u0660", "00", "5-copy"}  # somebody's; Orbax writes none
    for name in others:
        (folder / name).mkdir()
    shutil.copy(folder / "5" / "files.json", folder / "5-copy")
    with Checkpoints(folder, keep_last=3, keep_every=4):
        pass
    assert {path.name for path in folder.iterdir()} == {"3", "5", "7", *others}
    said = capfd.readouterr().err
    assert re.findall(r"checkpoint (\d) is damaged", said) == ["4", "6"]


# ---- Corpora ----


def test_a_flipped_bit_in_a_corpus_is_refused(tmp_path):
    tiny_corpus.corpus(tmp_path, 6)
    [path] = tmp_path.rglob("*.array_record*")
    whole = path.read_bytes()

    def features():
        corpus = Corpus(path.parents[1], path.parent.name)
        return [corpus.image(number).features for number in range(corpus.num_images)]

    right, drawn, refused = features(), random.Random(3), 0
    for _ in range(20):
        path.write_bytes(whole)
        flipped(path, drawn)
        try:
            found = features()
        except UserError:
            refused += 1
        else:
            jax.tree.map(np.testing.assert_array_equal, found, right)
    assert refused > 5
