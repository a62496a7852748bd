"""The golden world prepared for scoring, and models small enough to score it often."""

import dataclasses
import functools

import numpy as np

from tests.helpers import golden, golden_world
from xabl.ablation.any_model import Model
from xabl.ablation.average import average_features
from xabl.ablation.definition import Definition
from xabl.ablation.engine.device_loop import Request, ablate
from xabl.ablation.engine.device_regions import host_store
from xabl.ablation.engine.pair_scores import AblationScores
from xabl.ablation.examples import PhraseExample, mentions_by_image, prepare_examples
from xabl.ablation.options import Options, VlBertPositions
from xabl.ablation.plan import Plan, build_plan
from xabl.ablation.replacement import Donors
from xabl.data.flickr30k_entities import read_split
from xabl.data.regions.image_regions import StackedRegions
from xabl.data.word_pieces import WordPieces
from xabl.models.config import ModelConfig
from xabl.models.model import nest
from xabl.models.presets import PRESETS
from xabl.models.reference_names import reference_names
from xabl.results.conditions import Condition, Direction, all_conditions
from xabl.support.devices import LocalDevices

ALL_CONDITIONS = all_conditions(list(Direction))
FEW_CONDITIONS = all_conditions(list(Direction), [0.5])
VIS4LANG = all_conditions([Direction.VIS4LANG])


@functools.cache
def word_pieces() -> WordPieces:
    return WordPieces(golden_world.VOCABULARY)


@functools.cache
def examples() -> tuple[PhraseExample, ...]:
    return prepare_examples(read_split(golden_world.ENTITIES, "val"), word_pieces())


@functools.cache
def regions() -> StackedRegions:
    return stacked(golden_world.golden_images())


def stacked(images) -> StackedRegions:
    """Images with equal numbers of regions as one array a field."""
    fields = ("features", "boxes", "objects_id", "objects_conf", "cls_prob")
    return StackedRegions(
        image_ids=tuple(image.image_id for image in images),
        num_boxes=np.array([image.num_boxes for image in images], np.int32),
        img_w=np.array([image.img_w for image in images], np.int32),
        img_h=np.array([image.img_h for image in images], np.int32),
        **{name: np.stack([getattr(i, name) for i in images]) for name in fields},
    )


@functools.cache
def donors(seed: int = 0) -> Donors:
    return Donors(image_ids=regions().image_ids, examples=examples(), seed=seed)


@functools.cache
def average() -> np.ndarray:
    return average_features(regions(), mentions_by_image(examples()))


def definition_of(
    config: ModelConfig, model: Model, world: StackedRegions | None = None
) -> Definition:
    """The method, written out, on the golden world's examples.

    Args:
        model: a function that computes what `config` does.
        world: the regions; those of the golden world by default.
    """
    return Definition(
        model=model,
        regions=None if config.text_only else world or regions(),
        average=average(),
        mask_id=word_pieces().mask_id,
        target=next(iter(config.visual_targets), None),
        donors=donors(),
        needs_regions=config.needs_regions,
    )


def params_of(state: dict[str, np.ndarray], config: ModelConfig) -> dict:
    """A PyTorch state dict as our parameter tree."""
    return nest(
        {
            path: state[row.name].T if row.transpose else state[row.name]
            for path, row in reference_names(config).items()
        }
    )


@functools.cache
def ruled_params(config: ModelConfig) -> dict:
    """Parameters by the golden rule for any configuration."""
    return params_of(ruled_tensors(config), config)


def ruled_tensors(config: ModelConfig) -> dict[str, np.ndarray]:
    """The PyTorch state dict, without aliases, of `ruled_params`."""
    shapes = {
        reference.name: reference.shape[::-1]
        if reference.transpose
        else reference.shape
        for reference in reference_names(config).values()
    }
    return golden.rule_state_dict(shapes, {}, 5)


def small(preset: str) -> ModelConfig:
    """A preset with all its sublayers, of little width, for the golden vocabulary."""
    config = PRESETS[preset]
    wide = config.v_hidden_size != config.hidden_size
    return dataclasses.replace(
        config,
        vocab_size=word_pieces().size,
        hidden_size=24,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=96,
        v_hidden_size=40 if wide else 24,
        v_num_attention_heads=2,
        v_intermediate_size=32,
        pooler_size=24,
        v_pooler_size=24,
        sublayer2attn_hidden_size=tuple(
            (number, 40) for number, _ in config.sublayer2attn_hidden_size
        ),
        sublayer2num_attention_heads=tuple(
            (number, 2) for number, _ in config.sublayer2num_attention_heads
        ),
    )


def shallow(kind: str) -> ModelConfig:
    """Two or three layers: "uniter", "vl-bert", "two-stream" or "bert"."""
    if kind == "bert":
        return dataclasses.replace(
            small("bert_base"),
            name="shallow_bert",
            tt_attn_sublayers=(0, 2),
            t_ff_sublayers=(1, 3),
            bert_layer2attn_sublayer=(),
            bert_layer2ff_sublayer=(),
        )
    if kind == "two-stream":
        return dataclasses.replace(
            small("ctrl_lxmert"),
            name="shallow_two_stream",
            tt_attn_sublayers=(0, 3),
            vv_attn_sublayers=(0, 3),
            tv_attn_sublayers=(2,),
            vt_attn_sublayers=(2,),
            t_ff_sublayers=(1, 4),
            v_ff_sublayers=(1, 4),
            shared_sublayers=(2,),
            bert_layer2attn_sublayer=(),
            bert_layer2ff_sublayer=(),
        )
    config = small({"uniter": "ctrl_uniter_base", "vl-bert": "ctrl_vl-bert_base"}[kind])
    attention, feed_forward = (0, 2), (1, 3)
    return dataclasses.replace(
        config,
        name=f"shallow_{kind}",
        tt_attn_sublayers=attention,
        tv_attn_sublayers=attention,
        vt_attn_sublayers=attention,
        vv_attn_sublayers=attention,
        t_ff_sublayers=feed_forward,
        v_ff_sublayers=feed_forward,
        shared_sublayers=attention + feed_forward,
        single_ln_sublayers=attention + feed_forward,
        bert_layer2attn_sublayer=(),
        bert_layer2ff_sublayer=(),
    )


def planned(
    config: ModelConfig,
    conditions: tuple[Condition, ...],
    *,
    of: tuple[PhraseExample, ...] | None = None,
    world: StackedRegions | None = None,
    gold_labels: list[int | None] | None = None,
    positions: VlBertPositions = VlBertPositions.REFERENCE_BATCH,
    seed: int = 0,
) -> Plan:
    """What there is to score of the golden world, or of some of its examples."""
    world = regions() if world is None else world
    is_vl_bert = config.image_embeddings.positions_follow_words
    return build_plan(
        examples() if of is None else of,
        None if config.text_only else world,
        conditions,
        mask_id=word_pieces().mask_id,
        vlbert_positions=positions if is_vl_bert else None,
        gold_labels=gold_labels,
        donors=donors(seed),
        needs_regions=config.needs_regions,
    )


def scored(
    config: ModelConfig,
    params: dict,
    *,
    conditions: tuple[Condition, ...] = ALL_CONDITIONS,
    of: tuple[PhraseExample, ...] | None = None,
    world: StackedRegions | None = None,
    devices: int = 1,
    gold_labels: list[int | None] | None = None,
    positions: VlBertPositions = VlBertPositions.REFERENCE_BATCH,
    seed: int = 0,
    **options,
) -> AblationScores:
    """Scores of the golden world, or of some of its examples."""
    world = regions() if world is None else world
    world = None if config.text_only else world
    plan = planned(
        config,
        conditions,
        of=of,
        world=world,
        gold_labels=gold_labels,
        positions=positions,
        seed=seed,
    )
    return ablate(
        Request(
            config=config,
            params=params,
            plan=plan,
            store=None if world is None else host_store(config, world, average()),
            options=Options(**options),
        ),
        LocalDevices(devices),
    )
