"""Foils scored by xabl, against a small computation in PyTorch."""

import json
import shutil

import numpy as np
import pytest
import torch
import transformers

from checkpoints_conversion.conversion import convert_file
from tests.helpers import golden_world
from tests.peers.test_transformers import SMALL
from xabl.ablation.foils import run_foils
from xabl.results.foils import summarise_foils

TOLERANCE = 5e-6
# Caption and foil have equally many pieces, so that those that differ can be compared.
PAIRS = [
    ("A man walks a dog .", "A man walks a bird ."),
    ("two young women", "one young women"),
    ("a guy with a dog", "a guy with a bird"),
]


def pieces_of(text, vocabulary):
    """A tokenizer in a line: these texts are of whole pieces."""
    words = ["[CLS]", *text.lower().split(), "[SEP]"]
    return torch.tensor([[vocabulary[word] for word in words]])


@torch.no_grad()
def log_odds(model, ids, features, image):
    """That text and image match."""
    features = torch.tensor(features[None])
    if isinstance(model, transformers.LxmertForPreTraining):
        corners = image.boxes / np.array([image.img_w, image.img_h] * 2)
        logits = model(
            input_ids=ids,
            visual_feats=features,
            visual_pos=torch.tensor(corners[None], dtype=torch.float32),
        ).cross_relationship_score[0]
        return float(logits[1] - logits[0])
    logits = model(input_ids=ids, visual_embeds=features).seq_relationship_logits[0]
    return float(logits[0] - logits[1])


def expected_scores(model, pairs, images, vocabulary):
    mask = vocabulary["[MASK]"]
    average = np.mean([image.features.mean(axis=0) for image in images], axis=0)
    found = []
    for (caption, foil), image in zip(pairs, images, strict=True):
        texts = [pieces_of(text, vocabulary) for text in (caption, foil)]
        differ = texts[0] != texts[1]
        everything = torch.ones_like(differ)
        everything[0, [0, -1]] = False
        nothing = torch.zeros_like(differ)
        ablated = np.broadcast_to(average, image.features.shape)
        for hidden, features in (
            (nothing, image.features),
            (nothing, ablated),
            (differ, image.features),
            (everything, image.features),
        ):
            shown = [torch.where(hidden, mask, text) for text in texts]
            found.append(
                [log_odds(model, ids, features.copy(), image) for ids in shown]
            )
    return np.array(found)


@pytest.mark.parametrize("kind", ["lxmert", "visualbert"])
def test_foils_equal_a_small_computation(tmp_path, kind):
    pieces = golden_world.VOCABULARY.read_text().splitlines()
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    sizes = SMALL | {"vocab_size": len(pieces)}
    torch.manual_seed(3)
    if kind == "lxmert":
        config = transformers.LxmertConfig(**sizes, l_layers=2, r_layers=1, x_layers=2)
        model = transformers.LxmertForPreTraining(config).eval()
    else:
        config = transformers.VisualBertConfig(
            **sizes, num_hidden_layers=2, visual_embedding_dim=2048
        )
        model = transformers.VisualBertForPreTraining(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 2:
                parameter.normal_(0, parameter.shape[1] ** -0.5)
    published = tmp_path / "published"
    model.save_pretrained(published)
    shutil.copy(golden_world.VOCABULARY, published / "vocab.txt")
    convert_file(published, tmp_path / "model")

    images = golden_world.golden_images()[: len(PAIRS)]
    entries = {
        f"pair{number}": {
            "image_file": f"{image.image_id}.jpg",
            "caption": caption,
            "foil": foil,
            "mturk": {"caption": 3, "foil": 0, "other": 0},
        }
        for number, ((caption, foil), image) in enumerate(
            zip(PAIRS, images, strict=True)
        )
    }
    (tmp_path / "swaps.json").write_text(json.dumps(entries))
    table = run_foils(
        tmp_path / "model",
        tmp_path / "swaps.json",
        golden_world.write_regions(tmp_path, "hdf5"),
        tmp_path / "results",
    )
    expected = expected_scores(model, PAIRS, images, vocabulary)
    ours = np.stack([table["caption"].to_numpy(), table["foil"].to_numpy()], axis=1)
    np.testing.assert_allclose(ours, expected, atol=TOLERANCE, rtol=0)
    assert expected.std() > 0.05
    margins = expected[:, 0] - expected[:, 1]
    right = np.where(np.abs(margins) < 1e-5, 0.5, margins > 0)
    accuracies = [row.accuracy for row in summarise_foils(table)]
    np.testing.assert_allclose(accuracies, right.reshape(-1, 4).mean(axis=0))
    assert accuracies[-1] == 0.5  # nothing tells them apart
