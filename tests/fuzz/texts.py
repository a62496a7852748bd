"""Readers of text, JSON and YAML, and what they read well."""

import json
from collections.abc import Callable
from pathlib import Path

from tests.helpers import golden_world
from xabl.data import foils, tokenizer_files
from xabl.data.flickr30k_entities import parse_caption
from xabl.data.word_pieces import WordPieces
from xabl.models.config import ModelConfig
from xabl.models.presets import PRESETS
from xabl.pretraining.configuration import PretrainingConfig, overridden, to_json
from xabl.results import reading


def read_caption(folder: Path, content: bytes) -> None:
    for line in content.decode(errors="replace").split("\n"):
        parse_caption(line, "line")


def files(pattern: str, most: int = 3) -> Callable[[], list[bytes]]:
    paths = sorted(golden_world.ENTITIES.glob(pattern))[:most]
    return lambda: [path.read_bytes() for path in paths]


def override(folder: Path, content: bytes) -> None:
    text = content.decode(errors="replace")
    json.dumps(to_json(overridden(PretrainingConfig(name="fuzz"), [text]))).encode()


def override_seeds() -> list[bytes]:
    """One for every field that there is, with its default."""
    ablations = [{"modality": "words", "probability": 0.5, "share": 0.5}]
    values = {"model.tv_attn_sublayers": [], "inputs.ablations": ablations}
    for name, value in to_json(PretrainingConfig(name="fuzz")).items():
        if name in ("inputs", "optimiser", "initial", "ablation"):
            values |= {f"{name}.{field}": inner for field, inner in value.items()}
        elif name != "model":
            values[name] = value
    values["model"] = "bert_base"
    return [f"{name}={json.dumps(value)}".encode() for name, value in values.items()]


def read_config(path: Path) -> None:
    config = ModelConfig.from_json(path)
    text = json.dumps(config.to_dict(), ensure_ascii=False).encode()
    assert ModelConfig.from_dict(json.loads(text)) == config


def config_seeds() -> list[bytes]:
    """Two presets, and one with a value in every field: as few sublayers as can be."""
    every = dict(
        PRESETS["ctrl_uniter_base"].to_dict(),
        **{f"{kind}_attn_sublayers": [0] for kind in ("tt", "tv", "vt", "vv")},
        **{"t_ff_sublayers": [1], "v_ff_sublayers": [1], "single_ln_sublayers": [0]},
        **{"shared_sublayers": [0, 1], "bert_model": "bert-base-uncased"},
        **{f"sublayer2{v}attn_hidden_size": {"0": 768} for v in ("", "v_")},
        **{f"sublayer2{v}num_attention_heads": {"0": 12} for v in ("", "v_")},
        **{f"sublayer2{v}intermediate_size": {"1": 3072} for v in ("", "v_")},
        **{"bert_layer2attn_sublayer": {"0": 0}, "bert_layer2ff_sublayer": {"0": 1}},
        visual_target_weights={"0": 1.0, "3": 0},
    )
    presets = [PRESETS[name].to_dict() for name in ("bert_base", "vilbert_base")]
    return [json.dumps(fields).encode() for fields in (every, *presets)]


def tokenizer_seeds() -> list[bytes]:
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "##b"]
    model = {"type": "WordPiece", "vocab": {p: n for n, p in enumerate(pieces)}}
    settings = {"type": "BertNormalizer", "lowercase": True, "strip_accents": None}
    content = {"model": model, "normalizer": settings | {"handle_chinese_chars": True}}
    return [json.dumps(content).encode()]


def read_tokenizer(path: Path) -> None:
    tokenizer_files.find_tokenizer(path.parent)
    WordPieces(path).encode(["a", "dog"])


def foil_seeds() -> list[bytes]:
    texts = {"image_file": "COCO_val2014_000000238029.jpg", "caption": "a dog"}
    pair = {**texts, "foil": "a cat", "mturk": {"caption": 3, "foil": 0}}
    return [json.dumps({"a_1": pair, "a_2": {**texts, "foil": "a cat"}}).encode()]


def foil_pairs(path: Path) -> None:
    pairs = foils.read_foils(path)
    for pair in pairs:
        pair.differing  # noqa: B018
    foils.image_ids(pairs, ["238029"], "regions")


def study_seeds() -> list[bytes]:
    """The two kinds of rows, and JSON with every key, which is YAML, too.

    A whole study takes YAML a hundred times as long.
    """
    folder = Path(reading.__file__).parents[1] / "studies" / "examples"
    grid = [
        line
        for line in (folder / "synthetic_world.yaml").read_text().splitlines()
        if line.strip() and not line.strip().startswith("#")
    ]
    rows = [
        "data: {entities: e, regions: r.h5, split: val, limit: 3}",
        "ablation: {thresholds: [0.5], directions: [vis4lang], batch_size: 4}",
        "report: {resamples: 100}",
        "retries: 1",
        "models:",
        "  - {label: a, seed: 0, group: g, model: m}",
        "  - {label: b, config: ctrl_uniter_base, checkpoint: c.bin}",
    ]
    every = {
        "data": {"entities": "e", "split": "val", "regions": "r", "vocabulary": "v"}
        | {"gold_labels": "g", "class_names": "c", "attribute_names": "a", "limit": 3}
        | {"tagger": "stanza", "skip_bad_examples": True},
        "ablation": {"directions": ["vis4lang"], "thresholds": [0.5], "batch_size": 4}
        | {"replace": ["zero"], "replace_seed": 1, "precision": "highest"}
        | {"image_token": "published", "vlbert_positions": "reference-batch"}
        | {"save_predictions": 1, "mismatch": "stop-if-certain"},
        "models": [{"label": "a", "seed": 0, "group": "g", "model": "m"}],
        "pretrainings": [
            {"config": "c", "overrides": ["seed=3"], "seeds": [0]}
            | {"variants": [{"label": "b", "group": "g", "start": "b"}]}
        ],
        "report": {"images": "i", "class_names": "c", "resamples": 100},
        "retries": 1,
    }
    texts = ("\n".join(rows), "\n".join(grid), json.dumps(every))
    return [text.encode() for text in texts]
