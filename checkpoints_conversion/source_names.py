"""What the tensors of published checkpoints are called, by kind of checkpoint.

Each kind is a table from its names to the names of the framework the controlled models
were trained with (VOLTA: Bugliarello et al., TACL 2021), which
`xabl.models.reference_names` relates to ours. Rows are tried in order and match whole
names; sublayer numbers are computed from layer numbers. Kinds whose embeddings and
encoder stand under another name than "bert" share the rows of those that have it.
"""

import dataclasses
import re
from collections.abc import Callable

from xabl.models.config import ModelConfig

Match = re.Match[str]
Rename = str | Callable[[Match], str]

# A layer's. Damaged names may have thousands of digits, which int() refuses.
_NUMBER = r"(\d{1,4})"


@dataclasses.dataclass(frozen=True, kw_only=True)
class SourceNames:
    """One kind of checkpoint.

    Attributes:
        renames: (pattern, reference name); several source names may become one
            reference name, they must then be equal tensors.
        ignored: (pattern, reason).
        base: what the names of embeddings and encoder begin with; to the rows above
            it is "bert".
        matching_last: the matching head's second output is the one for a pair that
            matches; ours is the first.
        aliases_required: the file holds a shared tensor under all its names or, if it
            was written again, under one.
        notes: remarks for the report.
    """

    kind: str
    renames: tuple[tuple[str, Rename], ...]
    ignored: tuple[tuple[str, str], ...] = ()
    base: str = "bert"
    matching_last: bool = False
    aliases_required: bool = False
    notes: tuple[str, ...] = ()

    def reference_name(self, name: str) -> str | None:
        """The reference's name of a tensor, None for one the kind does not know."""
        name = self._rebased(name)
        for pattern, rename in self.renames:
            if match := re.fullmatch(pattern, name):
                return rename(match) if callable(rename) else match.expand(rename)
        return None

    def reason_to_ignore(self, name: str) -> str | None:
        """Why a tensor is not used, None for one that is."""
        name = self._rebased(name)
        for pattern, reason in self.ignored:
            if re.fullmatch(pattern, name):
                return reason
        return None

    def _rebased(self, name: str) -> str:
        if name.startswith(f"{self.base}."):
            return f"bert{name.removeprefix(self.base)}"
        return name


def canonical_name(name: str) -> str:
    """A source name without what differs between writers of the same kind."""
    # Written by torch.compile, of a part too, and by DataParallel, perhaps repeatedly.
    name = name.replace("_orig_mod.", "")
    name = re.sub(r"^(module\.)+", "", name)
    name = re.sub(r"\.gamma$", ".weight", name)  # LayerNorm in old BERT files
    return re.sub(r"\.beta$", ".bias", name)


_POSITION_IDS = (r"bert\.embeddings\.position_ids", "a constant: 0, 1, 2, ...")

VOLTA = SourceNames(
    kind="VOLTA",
    renames=(
        # A second name of the token types in newer UNITER files.
        (
            r"bert\.embeddings\.image_token_type_embeddings\.weight",
            "bert.embeddings.token_type_embeddings.weight",
        ),
        (r"(bert|cls)\..*", r"\g<0>"),
    ),
    ignored=(
        (r"cls\.qaPredictions\..*", "question answering head, no part of the model"),
        _POSITION_IDS,
    ),
    aliases_required=True,
)


def bert(config: ModelConfig) -> SourceNames:
    """Text-only BERT as Hugging Face writes it; layers become two sublayers each."""
    return SourceNames(
        kind="BERT",
        renames=(
            *_bert_layers(config),
            (r"bert\.embeddings\..*", r"\g<0>"),
            *_MLM_HEAD,
        ),
        ignored=(
            _POSITION_IDS,
            (r"bert\.pooler\..*", "pooler, used by no score here"),
            (r"cls\.seq_relationship\..*", "next sentence head, used by no score here"),
        ),
    )


_MLM_HEAD: tuple[tuple[str, Rename], ...] = (
    (r"cls\.predictions\.decoder\.bias", "cls.predictions.bias"),
    (r"cls\.predictions\..*", r"\g<0>"),
)
_MATCHING_HEAD: tuple[tuple[str, Rename], ...] = (
    (r"bert\.pooler\.(.*)", r"bert.t_pooler.\1"),
    (r"cls\.seq_relationship\.(.*)", r"cls.bi_seq_relationship.\1"),
)


def _bert_layers(config: ModelConfig) -> tuple[tuple[str, Rename], ...]:
    attention = dict(config.bert_layer2attn_sublayer)
    feed_forward = dict(config.bert_layer2ff_sublayer)

    def sublayer(numbers: dict[int, int], part: str) -> Callable[[Match], str]:
        def rename(match: Match) -> str:
            # A layer that the configuration lacks keeps a name no model has.
            number = numbers.get(int(match[1]), f"<none for BERT layer {match[1]}>")
            return f"bert.encoder.layer.{number}.{part}.{match[2]}"

        return rename

    layer = rf"bert\.encoder\.layer\.{_NUMBER}\."
    return (
        (rf"{layer}attention\.self\.(.*)", sublayer(attention, "attention_self")),
        (rf"{layer}attention\.output\.(.*)", sublayer(attention, "attention_output")),
        (rf"{layer}intermediate\.(.*)", sublayer(feed_forward, "intermediate")),
        (rf"{layer}output\.(.*)", sublayer(feed_forward, "output")),
    )


def visualbert(config: ModelConfig) -> SourceNames:
    """VisualBERT as transformers writes it: BERT's layers over words and regions."""
    embeddings = r"bert\.embeddings\."
    return SourceNames(
        kind="transformers' VisualBERT",
        base="visual_bert",
        renames=(
            *_bert_layers(config),
            (rf"{embeddings}visual_projection\.(.*)", r"bert.embeddings.projection.\1"),
            (
                rf"{embeddings}visual_(token_type|position)_embeddings\.(.*)",
                r"bert.embeddings.\1_embeddings_visual.\2",
            ),
            (rf"{embeddings}.*", r"\g<0>"),
            *_MATCHING_HEAD,
            *_MLM_HEAD,
        ),
        ignored=(_POSITION_IDS,),
    )


def _single(part: str, *, offset: int) -> Callable[[Match], str]:
    """A text or region layer: two sublayers, attention and feed-forward."""

    def rename(match: Match) -> str:
        number = 2 * int(match[1]) + offset
        return f"bert.encoder.layer.{number}.{part}{match[2]}"

    return rename


def _lxmert_layers(first_cross: int) -> tuple[tuple[str, Rename], ...]:
    """`first_cross` is the sublayer with which the cross-modality layers begin."""

    def cross(part: str, *, offset: int) -> Callable[[Match], str]:
        """A cross-modality layer: three sublayers."""

        def rename(match: Match) -> str:
            number = first_cross + 3 * int(match[1]) + offset
            return f"bert.encoder.layer.{number}.{part}{match[2]}"

        return rename

    rows: list[tuple[str, Rename]] = []
    for layers, side in (("layer", ""), ("r_layers", "v_")):
        layer = rf"bert\.encoder\.{layers}\.{_NUMBER}\."
        rows += [
            (
                rf"{layer}attention\.self\.(.*)",
                _single(f"attention_self.{side}", offset=0),
            ),
            (
                rf"{layer}attention\.output\.(.*)",
                _single(f"attention_output.{side}", offset=0),
            ),
            (rf"{layer}intermediate\.(.*)", _single(f"intermediate.{side}", offset=1)),
            (rf"{layer}output\.(.*)", _single(f"output.{side}", offset=1)),
        ]
    layer = rf"bert\.encoder\.x_layers\.{_NUMBER}\."
    rows += [
        (rf"{layer}visual_attention\.att\.(.*)", cross("attention_self.", offset=0)),
        (
            rf"{layer}visual_attention\.output\.(.*)",
            cross("attention_output.", offset=0),
        ),
    ]
    for stream, side in (("lang", ""), ("visn", "v_")):
        rows += [
            (
                rf"{layer}{stream}_self_att\.self\.(.*)",
                cross(f"attention_self.{side}", offset=1),
            ),
            (
                rf"{layer}{stream}_self_att\.output\.(.*)",
                cross(f"attention_output.{side}", offset=1),
            ),
            (
                rf"{layer}{stream}_inter\.(.*)",
                cross(f"intermediate.{side}", offset=2),
            ),
            (rf"{layer}{stream}_output\.(.*)", cross(f"output.{side}", offset=2)),
        ]
    return tuple(rows)


_VISN_FC = r"bert\.encoder\.visn_fc\."
_LXMERT_TARGETS = {"obj": "3", "attr": "4", "feat": "5"}


def lxmert(config: ModelConfig, *, base: str = "bert") -> SourceNames:
    """LXMERT as its authors wrote it, or with `base` "lxmert" as transformers does.

    Its matching head reads a pooler with tanh, and its second output is for a pair that
    matches. The published configuration of the controlled setup has ReLU and the first
    instead, whatever the file says; with `fusion_act` "tanh" the head is converted as
    it was trained.
    """
    as_trained = config.fusion_act == "tanh"
    first_cross = min(config.tv_attn_sublayers, default=config.num_sublayers)
    return SourceNames(
        kind="original LXMERT" if base == "bert" else "transformers' LXMERT",
        base=base,
        renames=(
            (r"bert\.embeddings\..*", r"\g<0>"),
            (rf"{_VISN_FC}visn_fc\.(.*)", r"bert.v_embeddings.image_embeddings.\1"),
            (rf"{_VISN_FC}visn_layer_norm\.(.*)", r"bert.v_embeddings.ImgLayerNorm.\1"),
            (
                rf"{_VISN_FC}box_fc\.(.*)",
                r"bert.v_embeddings.image_location_embeddings.\1",
            ),
            (rf"{_VISN_FC}box_layer_norm\.(.*)", r"bert.v_embeddings.LocLayerNorm.\1"),
            *_lxmert_layers(first_cross),
            *_MATCHING_HEAD,
            (r"cls\.predictions\..*", r"\g<0>"),
            (
                r"obj_predict_head\.transform\.(.*)",
                r"cls.imagePredictions.transform.\1",
            ),
            *(
                (
                    rf"obj_predict_head\.decoder_dict\.{name}\.(.*)",
                    rf"cls.imagePredictions.decoder_dict.{target}.\1",
                )
                for name, target in _LXMERT_TARGETS.items()
            ),
        ),
        ignored=(
            (r"answer_head\..*", "question answering head, no part of the model"),
            _POSITION_IDS,
        ),
        matching_last=as_trained,
        notes=()
        if as_trained
        else (
            "image-text matching scores are not faithful: LXMERT pools with tanh and "
            "its class 1 means a matching pair, the published configuration pools with "
            "ReLU and has class 0 for it (without --config they are faithful); the MLM "
            "and region heads are faithful",
        ),
    )


def transformers_lxmert(config: ModelConfig) -> SourceNames:
    return lxmert(config, base="lxmert")


KINDS: dict[str, Callable[[ModelConfig], SourceNames]] = {
    "volta": lambda config: VOLTA,
    "lxmert": lxmert,
    "transformers_lxmert": transformers_lxmert,
    "visualbert": visualbert,
    "bert": bert,
}
