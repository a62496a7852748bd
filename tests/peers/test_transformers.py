"""Random models of transformers, converted, against transformers itself.

Not among the other tests, because the product needs no PyTorch: `make test-peers`
installs it, with transformers, into an environment of its own.
"""

import functools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
import transformers

from checkpoints_conversion.conversion import convert, convert_file
from checkpoints_conversion.recognition import recognise, settings_beside
from xabl.data.checkpoints.opening import open_checkpoint
from xabl.models import model_directory
from xabl.models.model import VisionLanguageBert
from xabl.models.structs import RegionInput, TextInput

TOLERANCE = 2e-5  # of logits up to 6: float32 sums in another order
BATCH, WORDS, REGIONS = 3, 11, 7

SMALL = dict(
    vocab_size=97,
    hidden_size=48,
    num_attention_heads=4,
    intermediate_size=80,
    max_position_embeddings=40,
)
CONFIGS = {
    "lxmert-small": transformers.LxmertConfig(
        **SMALL, l_layers=3, r_layers=2, x_layers=2
    ),
    "lxmert-more-region-layers": transformers.LxmertConfig(
        **SMALL, l_layers=1, r_layers=3, x_layers=1, visual_attr_loss=False
    ),
    "lxmert": transformers.LxmertConfig(),
    "visualbert-small": transformers.VisualBertConfig(
        **SMALL, num_hidden_layers=3, visual_embedding_dim=32
    ),
    "visualbert-512": transformers.VisualBertConfig(),
    "visualbert-1024": transformers.VisualBertConfig(
        visual_embedding_dim=1024, num_hidden_layers=2
    ),
    "visualbert-2048": transformers.VisualBertConfig(
        visual_embedding_dim=2048, num_hidden_layers=2
    ),
}
LAYOUTS = (
    "safetensors",
    "shards",
    "zip",
    "legacy",
    "module",
    "compiled",
    "state_dict",
    "model",
    "model_state_dict",
)


@pytest.fixture(scope="module", params=CONFIGS)
def peer(request):
    """A random model of transformers, and what it says about some inputs."""
    config = CONFIGS[request.param]
    torch.manual_seed(0)
    if isinstance(config, transformers.LxmertConfig):
        model = transformers.LxmertForPreTraining(config)
    else:
        model = transformers.VisualBertForPreTraining(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "LayerNorm" in name or "layer_norm" in name:
                scale, centre = 0.1, float(name.endswith("weight"))
            elif parameter.dim() == 1:
                scale, centre = 0.05, 0.0
            else:
                scale, centre = 1.25 * parameter.shape[1] ** -0.5, 0.0
            parameter.copy_(centre + scale * torch.randn_like(parameter))
    model.eval()
    inputs = _inputs(config)
    return request.param, model, inputs, _their_logits(model, inputs)


def _inputs(config):
    rng = np.random.default_rng(1)
    lxmert = isinstance(config, transformers.LxmertConfig)
    size = config.visual_feat_dim if lxmert else config.visual_embedding_dim
    lengths, boxes = np.array([WORDS, 5, 8]), np.array([REGIONS, 4, 6])
    corners = np.sort(rng.random((BATCH, REGIONS, 2, 2)), axis=2)
    return {
        "ids": rng.integers(5, config.vocab_size, (BATCH, WORDS)),
        "words": np.arange(WORDS) < lengths[:, None],
        "types": np.zeros((BATCH, WORDS), int),
        "features": rng.random((BATCH, REGIONS, size), np.float32),
        "corners": corners.reshape(BATCH, REGIONS, 4).astype(np.float32),
        "regions": np.arange(REGIONS) < boxes[:, None],
    }


@torch.no_grad()
def _their_logits(model, inputs):
    tensors = {name: torch.tensor(value) for name, value in inputs.items()}
    shared = dict(
        input_ids=tensors["ids"],
        token_type_ids=tensors["types"],
        attention_mask=tensors["words"].float(),
    )
    if isinstance(model, transformers.LxmertForPreTraining):
        visual = dict(
            visual_feats=tensors["features"],
            visual_pos=tensors["corners"],
            visual_attention_mask=tensors["regions"].float(),
        )
        output = model(**shared, **visual)
        states = model.lxmert(**shared, **visual).vision_output
        # The second output is the one for a pair that matches.
        matching = output.cross_relationship_score.flip(-1)
        regions = model.obj_predict_head(states)
    else:
        output = model(
            **shared,
            visual_embeds=tensors["features"],
            visual_attention_mask=tensors["regions"].float(),
        )
        matching, regions = output.seq_relationship_logits, {}
    return {
        "mlm": output.prediction_logits[:, :WORDS].numpy(),
        "matching": matching.numpy(),
        **{
            {"obj": "3", "attr": "4", "feat": "5"}[name]: logits.numpy()
            for name, logits in regions.items()
        },
    }


def _our_logits(config, params, inputs):
    area = np.zeros((BATCH, REGIONS, config.num_locs - 4), np.float32)
    text = TextInput(
        token_ids=jnp.array(inputs["ids"], jnp.int32),
        mask=jnp.array(inputs["words"]),
        token_type_ids=jnp.array(inputs["types"], jnp.int32),
        position_shift_start=jnp.array(inputs["words"].sum(1), jnp.int32),
    )
    regions = RegionInput(
        features=jnp.array(inputs["features"]),
        locations=jnp.concatenate([inputs["corners"], area], -1),
        mask=jnp.array(inputs["regions"]),
    )
    output = _program(config)({"params": params}, text, regions)
    return {
        "mlm": output.mlm_logits,
        "matching": output.itm_logits,
        **output.region_logits,
    }


@functools.lru_cache
def _program(config):
    return jax.jit(VisionLanguageBert(config).apply)


def _write(folder, model, layout):
    """Saves a model; returns the file or folder to convert."""
    if layout in ("safetensors", "shards"):
        size = sum(p.numel() for p in model.parameters()) * 4
        whole = layout == "safetensors"
        model.save_pretrained(folder, max_shard_size=10 * size if whole else size // 3)
        assert (len(list(folder.glob("*.safetensors"))) > 1) == (not whole)
        return folder
    model.config.save_pretrained(folder)
    state = model.state_dict()
    if layout == "module":
        state = {f"module.module.{name}": value for name, value in state.items()}
    elif layout == "compiled":
        state = {f"module._orig_mod.{name}": value for name, value in state.items()}
    elif layout in ("state_dict", "model", "model_state_dict"):
        state = {layout: state, "epoch": 3}
    path = folder / "pytorch_model.bin"
    torch.save(state, path, _use_new_zipfile_serialization=layout != "legacy")
    return path


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_logit_in_every_layout(tmp_path, peer, layout):
    name, model, inputs, expected = peer
    path = _write(tmp_path, model, layout)
    file = open_checkpoint(path)
    found = recognise(file, settings_beside(file.path))
    params = convert(file, found.config, found.names).params
    for written in tmp_path.iterdir():  # pytest keeps the folders of its last runs
        written.unlink()
    ours = _our_logits(found.config, params, inputs)
    assert ours.keys() == expected.keys()
    differences = {
        head: float(np.abs(np.asarray(ours[head]) - logits).max())
        for head, logits in expected.items()
    }
    largest = max(float(np.abs(logits).max()) for logits in expected.values())
    print(f"{name}, {layout}: logits up to {largest:.1f}, {differences}")
    # Rows of regions that are masked are compared too: both compute them.
    assert max(differences.values()) < TOLERANCE
    assert 1 < largest < 10


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision(tmp_path, dtype):
    torch.manual_seed(0)
    config = CONFIGS["visualbert-small"]
    model = transformers.VisualBertForPreTraining(config).eval().to(dtype)
    model.save_pretrained(tmp_path)
    convert_file(tmp_path, tmp_path / "model")
    inputs = _inputs(config)
    ours = _our_logits(*model_directory.load(tmp_path / "model"), inputs)
    expected = _their_logits(model.float(), inputs)
    for head, logits in expected.items():
        np.testing.assert_allclose(ours[head], logits, atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize("cased", [False, True])
def test_the_tokenizer_beside_a_checkpoint(tmp_path, cased):
    """As transformers writes it: tokenizer.json and tokenizer_config.json."""
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "dog", "##s"]
    pieces += ["Dog"] if cased else ["cat"]
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    tokenizer = transformers.BertTokenizerFast(vocabulary, do_lower_case=not cased)
    published = tmp_path / "published"
    tokenizer.save_pretrained(published)
    config = transformers.BertConfig(**SMALL | {"vocab_size": len(pieces)})
    transformers.BertForMaskedLM(config).save_pretrained(published)
    assert not (published / "vocab.txt").exists()
    convert_file(published, tmp_path / "model")
    found = model_directory.load_config(tmp_path / "model")
    assert found.do_lower_case is not cased
    kept = model_directory.vocabulary_path(tmp_path / "model")
    assert kept.read_text().splitlines() == pieces
    report = json.loads((tmp_path / "model" / "report.json").read_text())
    assert report["vocabulary"] == "tokenizer.json"
