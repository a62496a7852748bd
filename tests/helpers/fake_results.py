"""Results directories made up for tests of the analysis and the report.

The layout is that of `xabl ablate`; the numbers have known answers: what an
ablation adds to a loss is given, and a model blind to the ablated side scores the same
to the last bit.
"""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

# noun, phrase type, class in the 1601-way index
NOUNS = (
    ("man", "people", 1),
    ("woman", "people", 2),
    ("dog", "animals", 3),
    ("shirt", "clothing", 4),
    ("street", "scene", 5),
    ("car", "vehicles", 6),
    ("hand", "bodyparts", 7),
    ("ball", "other", 8),
    ("guitar", "instruments", 9),
    ("something red", "other", None),
)
VOCABULARY = (
    "__background__",
    *(noun for noun, _, label in NOUNS if label is not None),
    *(f"thing {index}" for index in range(10, 1601)),
)
THRESHOLDS = (0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.0)
SHARES = (0.07, 0.09, 0.12, 0.15, 0.18, 0.22, 0.27, 0.33, 0.42, 0.63)
NUM_REGIONS = 36
LOSSES = ("mlm", "mrc_kl", "mrc_kl_aligned", "mrc_xe", "mrc_xe_corrected", "mrc_xe_vg")
SCHEMA = pa.schema(
    [
        ("example", pa.int32()),
        ("image_id", pa.string()),
        ("caption", pa.int8()),
        ("chain", pa.string()),
        ("phrase", pa.string()),
        ("phrase_type", pa.string()),
        ("direction", pa.string()),
        ("condition", pa.string()),
        ("ablated_regions", pa.int16()),
        ("target_pieces", pa.int16()),
        *((loss, pa.float32()) for loss in LOSSES),
        ("target_region", pa.int16()),
        ("predicted", pa.string()),
        ("silver_class", pa.int16()),
        ("gold_class", pa.int16()),
        ("gold_rank", pa.int16()),
        ("gold_probability", pa.float32()),
        ("excluded", pa.string()),
    ]
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class FakeModel:
    """One run to make up.

    mlm_effect, kl_effect: bits that `all` adds to the loss of `none`; other conditions
        add the share of it that they ablate (phrase: a third).
    noise: spread, in bits, of what a condition adds to single examples; with 0 and no
        effect the model is blind.
    """

    label: str = "UNITER"
    name: str = "ctrl_uniter_base"
    seed: int | None = 73
    mlm: float = 4.6
    kl: float = 0.6
    mlm_effect: float = 1.2
    kl_effect: float = 0.02
    noise: float = 0.3
    directions: tuple[str, ...] = ("vis4lang", "lang4vis")
    thresholds: tuple[float, ...] = THRESHOLDS
    split: str = "val"
    gold: bool = True
    region_objective: str = "0"
    nan_scores: int = 0  # of the first metric of every direction, under `all`
    divergence: bool = True  # MRC-KL is scored
    guesses: tuple[str, ...] = ()  # losses at which it is worse than guessing
    vocabulary: str | None = "vocabulary"
    about: dict = dataclasses.field(
        default_factory=dict
    )  # more of the manifest's model


def write_results(
    directory: Path,
    model: FakeModel,
    *,
    num_images: int = 40,
    phrases_per_image: int = 6,
    world_seed: int = 0,
    predictions: int = 0,
) -> Path:
    """Writes scores, examples, manifest (and predictions); returns the directory."""
    examples = _examples(num_images, phrases_per_image, world_seed)
    rng = np.random.default_rng([world_seed, model.seed or 0, len(model.label)])
    rows = []
    for direction in model.directions:
        difficulty = _difficulty(examples, world_seed, direction, rng)
        for condition, share in _conditions(model, direction):
            rows += _rows(model, examples, (direction, condition, share), difficulty)
    directory.mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(rows, SCHEMA), directory / "scores.parquet")
    table = pa.Table.from_pylist([_public(example) for example in examples])
    pq.write_table(table, directory / "examples.parquet")
    if predictions:
        table = pa.Table.from_pylist(_predictions(rows, predictions))
        pq.write_table(table, directory / "predictions.parquet")
    manifest = _manifest(model, len(examples), world_seed, directory.name)
    (directory / "manifest.json").write_text(json.dumps(manifest, indent=1))
    return directory


def write_study(directory: Path, models: list[FakeModel], **world) -> list[Path]:
    """One results directory a model; names are label_seed."""
    return [
        write_results(directory / f"{model.label}_{model.seed}", model, **world)
        for model in models
    ]


def paper_models(seeds: tuple[int, ...] = (42,)) -> list[FakeModel]:
    """Five models and two text-only ones with effects like the published ones."""
    numbers = {  # name: MLM, its effect, KL, its effect
        "UNITER": ("ctrl_uniter_base", 4.61, 1.19, 0.596, 0.020),
        "VL-BERT": ("ctrl_vl-bert_base", 5.55, 0.91, 0.609, 0.022),
        "VisualBERT": ("ctrl_visualbert_base", 4.64, 0.87, 2.936, -0.004),
        "ViLBERT": ("ctrl_vilbert_base", 4.68, 1.24, 0.667, 0.071),
        "LXMERT": ("ctrl_lxmert", 4.68, 1.04, 0.512, 0.006),
    }
    models = [
        FakeModel(
            label=label,
            name=name,
            seed=seed,
            mlm=mlm + 0.02 * np.sin(seed),
            mlm_effect=mlm_effect + 0.05 * np.cos(seed),
            kl=kl + 0.01 * np.sin(seed),
            kl_effect=kl_effect,
        )
        for label, (name, mlm, mlm_effect, kl, kl_effect) in numbers.items()
        for seed in seeds
    ]
    return models + [text_only("BERT", 7.44), text_only("BERT-CC", 5.39)]


def text_only(label: str, mlm: float) -> FakeModel:
    """A model that never sees regions: one condition, one direction."""
    return FakeModel(
        label=label,
        name="bert_base",
        seed=None,
        mlm=mlm,
        mlm_effect=0,
        directions=("vis4lang",),
        thresholds=(),
    )


def variants() -> list[FakeModel]:
    """Models that differ in initialisation, overlap threshold or loss."""

    def variant(label: str, mlm_effect: float, kl_effect: float, **more) -> FakeModel:
        return FakeModel(
            label=label,
            seed=42,
            mlm_effect=mlm_effect,
            kl_effect=kl_effect,
            **more,
        )

    return [
        variant("UNITER_bert-v-vl", 1.15, 0.021),
        variant("UNITER_rnd-v-vl", 0.9, 0.002, kl=0.45),
        variant("UNITER_rnd-vl", 1.0, 0.007, kl=0.55),
        variant("ViLBERT_rnd-vl", 0.8, 0.045, kl=0.62),
        variant("UNITER-thr02", 1.1, 0.03),
        variant("UNITER-thr04iot", 1.3, 0.025),
        variant("UNITER-thr06", 1.2, 0.02),
        variant("ViLBERT-thr04", 1.25, 0.07),
        variant(
            "UNITER-xent",
            1.25,
            0.02,
            name="ctrl_uniter_xent_base",
            region_objective="3",
        ),
    ]


def _examples(num_images: int, phrases_per_image: int, seed: int) -> list[dict]:
    rng = np.random.default_rng([seed, 1])
    examples = []
    for image in range(num_images):
        # Images differ in how many phrases they have, as real ones do.
        for index in range(phrases_per_image + image % 3):
            noun, phrase_type, label = NOUNS[rng.integers(len(NOUNS))]
            agrees = label is not None and rng.random() < 0.4
            x, y = (int(v) for v in rng.integers(0, 200, 2))
            examples.append(
                {
                    "example": len(examples),
                    "image_id": str(1000 + image),
                    "caption": index // 3,
                    "chain": str(100 * image + index),
                    "phrase": f"a {noun}",
                    "phrase_type": phrase_type,
                    "sentence": f"We see a {noun} in picture {image} .",
                    "first_word": 2,
                    "num_words": 1 + len(noun.split()),
                    "boxes": json.dumps([[x, y, x + 150, y + 120]]),
                    "img_w": 500,
                    "img_h": 375,
                    "_pieces": 1 + len(noun.split()) + int(rng.random() < 0.2),
                    "_gold": label,
                    "_silver": label if agrees else int(rng.integers(0, 12)),
                    "_extra": rng.standard_normal(len(THRESHOLDS) + 4),
                }
            )
    return examples


def _public(example: dict) -> dict:
    return {name: value for name, value in example.items() if name[0] != "_"}


def _difficulty(
    examples: list[dict], seed: int, direction: str, rng: np.random.Generator
) -> np.ndarray:
    """Bits by which examples are harder; shared within images and between models."""
    world = np.random.default_rng([seed, 2, len(direction), ord(direction[0])])
    images = {example["image_id"]: world.standard_normal() for example in examples}
    shared = np.array([images[example["image_id"]] for example in examples])
    own = world.standard_normal(len(examples)) + 0.1 * rng.standard_normal(
        len(examples)
    )
    return (shared - shared.mean()) * 0.5 + (own - own.mean()) * 0.5


def _conditions(model: FakeModel, direction: str) -> list[tuple[str, float]]:
    if direction == "lang4vis":
        return [("none", 0.0), ("phrase", 1 / 3), ("all", 1.0)]
    if model.name == "bert_base":
        return [("none", 0.0)]
    shares = dict(zip(THRESHOLDS, SHARES, strict=True))
    objects = [(f"object@{t}", shares[t]) for t in model.thresholds]
    return [("none", 0.0), *objects, ("all", 1.0)]


def _rows(
    model: FakeModel,
    examples: list[dict],
    condition: tuple[str, str, float],
    difficulty: np.ndarray,
) -> list[dict]:
    """The rows of one condition; the mean effect is exact."""
    direction, name, share = condition
    vision = direction == "vis4lang"
    names = [c for c, _ in _conditions(model, direction)]
    extra = np.array([example["_extra"][names.index(name)] for example in examples])
    extra = (extra - extra.mean()) * model.noise * (0.0 if name == "none" else share)
    effect = model.mlm_effect if vision else model.kl_effect
    level = model.mlm if vision else model.kl
    scale = 1.0 if vision else 0.1 * model.kl / 0.6
    bits = level + scale * (difficulty + extra) + effect * share
    shift = np.log(2) * (bits - level)
    rows = []
    for index, example in enumerate(examples):
        row = _public(example)
        for extra_column in ("sentence", "first_word", "num_words", "boxes"):
            del row[extra_column]
        del row["img_w"], row["img_h"]
        row |= {"direction": direction, "condition": name, "excluded": None}
        nats = float(bits[index] * np.log(2))
        if index < model.nan_scores and name == "all":
            nats = float("nan")
        if vision:
            row |= {
                "ablated_regions": round(share * NUM_REGIONS),
                "target_pieces": example["_pieces"],
                "mlm": nats,
                "predicted": " ".join(example["phrase"].split()),
            }
        else:
            row |= _region_scores(model, example, nats, float(shift[index]))
        rows.append(row)
    return rows


def _region_scores(
    model: FakeModel, example: dict, nats: float, shift: float
) -> dict[str, object]:
    weighted = model.region_objective == "3"
    scores: dict[str, object] = {
        "target_region": example["example"] % NUM_REGIONS,
        "predicted": str(example["_silver"]),
        "silver_class": example["_silver"],
        "mrc_kl": nats if model.divergence and not weighted else None,
        "mrc_xe": 0.36 + shift if weighted else 11.9 - shift,
        "mrc_xe_corrected": None if weighted else 1.5 + shift,
    }
    if model.gold and example["_gold"] is not None:
        agrees = example["_gold"] == example["_silver"]
        loss = max(0.05, (0.9 if agrees else 4.5) + shift)
        scores |= {
            "mrc_xe_vg": loss,
            "gold_class": example["_gold"],
            "gold_rank": 1 if agrees else 2 + example["example"] % 40,
            "gold_probability": float(np.exp(-loss)),
        }
    return scores


def _predictions(rows: list[dict], count: int) -> list[dict]:
    predictions = []
    for row in rows:
        vision = row["direction"] == "vis4lang"
        positions = (3, 4) if vision else (row["target_region"],)
        for position in positions:
            for rank in range(count):
                if vision:
                    prediction = NOUNS[(row["example"] + rank) % len(NOUNS)][0]
                else:
                    prediction = str((row["silver_class"] + rank) % 1601)
                predictions.append(
                    {
                        "example": row["example"],
                        "direction": row["direction"],
                        "condition": row["condition"],
                        "position": position,
                        "rank": rank + 1,
                        "prediction": prediction.split()[0],
                        "probability": 0.5 / (rank + 1),
                    }
                )
    return predictions


def _manifest(
    model: FakeModel, num_examples: int, world_seed: int, directory: str
) -> dict:
    return {
        "format": 1,
        "model": {
            "label": model.label,
            "name": model.name,
            "seed": model.seed,
            "directory_name": directory,
            "config": {"visual_target_weights": {model.region_objective: 1.0}},
            **model.about,
        },
        "data": {
            "split": model.split,
            "entities_sha256": f"{model.split}-{world_seed}",
            "regions_sha256": f"regions-{world_seed}",
            "vocab_sha256": model.vocabulary,
            "examples_total": num_examples,
            "limit": None,
        },
        "flags": {},
        "directions": list(model.directions),
        "thresholds": list(model.thresholds),
        "excluded": {},
        "versions": {},
        "device": "cpu",
        "precision": "highest",
        "git_commit": None,
        "started": "2021-09-09T00:00:00+00:00",
        "seconds": 1.0,
        "yardsticks": {
            loss: {
                **{"intact": 15.2, "unigram": 8.8, "uniform": 14.9},
                **{"low": 6.0, "high": 6.6, "images": 40},
                "warning": f"{model.label} is worse than guessing by frequency: {loss}",
            }
            for loss in model.guesses
        },
    }
