"""What the tensors of published checkpoints are called, by kind of checkpoint.

Each kind is a table from its names to the names of the framework the controlled models
were trained with (VOLTA: Bugliarello et al., TACL 2021), which
`xabl.models.reference_names` relates to ours. Rows are tried in order and match whole
names; sublayer numbers are computed from layer numbers.
"""

import dataclasses
import re
from collections.abc import Callable

from xabl.models.config import ModelConfig

Match = re.Match[str]
Rename = str | Callable[[Match], str]


@dataclasses.dataclass(frozen=True, kw_only=True)
class SourceNames:
    """One kind of checkpoint.

    Attributes:
        renames: (pattern, reference name); several source names may become one
            reference name, they must then be equal tensors.
        ignored: (pattern, reason).
        aliases_required: whether the file holds a shared tensor under all its names.
        notes: remarks for the report.
    """

    kind: str
    renames: tuple[tuple[str, Rename], ...]
    ignored: tuple[tuple[str, str], ...] = ()
    aliases_required: bool = False
    notes: tuple[str, ...] = ()

    def reference_name(self, name: str) -> str | None:
        """The reference's name of a tensor, None for one the kind does not know."""
        for pattern, rename in self.renames:
            if match := re.fullmatch(pattern, name):
                return rename(match) if callable(rename) else match.expand(rename)
        return None

    def reason_to_ignore(self, name: str) -> str | None:
        """Why a tensor is not used, None for one that is."""
        for pattern, reason in self.ignored:
            if re.fullmatch(pattern, name):
                return reason
        return None


def canonical_name(name: str) -> str:
    """A source name without what differs between writers of the same kind."""
    name = name.removeprefix("module.")  # written by DataParallel
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
    attention = dict(config.bert_layer2attn_sublayer)
    feed_forward = dict(config.bert_layer2ff_sublayer)

    def sublayer(numbers: dict[int, int], part: str) -> Callable[[Match], str]:
        def rename(match: Match) -> str:
            # A layer that the configuration lacks keeps a name no model has.
            number = numbers.get(int(match[1]), f"<none for BERT layer {match[1]}>")
            return f"bert.encoder.layer.{number}.{part}.{match[2]}"

        return rename

    layer = r"bert\.encoder\.layer\.(\d+)\."
    return SourceNames(
        kind="BERT",
        renames=(
            (rf"{layer}attention\.self\.(.*)", sublayer(attention, "attention_self")),
            (
                rf"{layer}attention\.output\.(.*)",
                sublayer(attention, "attention_output"),
            ),
            (rf"{layer}intermediate\.(.*)", sublayer(feed_forward, "intermediate")),
            (rf"{layer}output\.(.*)", sublayer(feed_forward, "output")),
            (r"bert\.embeddings\..*", r"\g<0>"),
            (r"cls\.predictions\.decoder\.bias", "cls.predictions.bias"),
            (r"cls\.predictions\..*", r"\g<0>"),
        ),
        ignored=(
            _POSITION_IDS,
            (r"bert\.pooler\..*", "pooler, used by no score here"),
            (r"cls\.seq_relationship\..*", "next sentence head, used by no score here"),
        ),
    )


_LXMERT_TEXT_LAYERS = 9
_FIRST_CROSS = 2 * _LXMERT_TEXT_LAYERS


def _single(part: str, *, offset: int) -> Callable[[Match], str]:
    """A text or region layer: two sublayers, attention and feed-forward."""

    def rename(match: Match) -> str:
        number = 2 * int(match[1]) + offset
        return f"bert.encoder.layer.{number}.{part}{match[2]}"

    return rename


def _cross(part: str, *, offset: int) -> Callable[[Match], str]:
    """A cross-modality layer: three sublayers after those of the text layers."""

    def rename(match: Match) -> str:
        number = _FIRST_CROSS + 3 * int(match[1]) + offset
        return f"bert.encoder.layer.{number}.{part}{match[2]}"

    return rename


def _lxmert_layers() -> tuple[tuple[str, Rename], ...]:
    rows: list[tuple[str, Rename]] = []
    for layers, side in (("layer", ""), ("r_layers", "v_")):
        layer = rf"bert\.encoder\.{layers}\.(\d+)\."
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
    layer = r"bert\.encoder\.x_layers\.(\d+)\."
    rows += [
        (rf"{layer}visual_attention\.att\.(.*)", _cross("attention_self.", offset=0)),
        (
            rf"{layer}visual_attention\.output\.(.*)",
            _cross("attention_output.", offset=0),
        ),
    ]
    for stream, side in (("lang", ""), ("visn", "v_")):
        rows += [
            (
                rf"{layer}{stream}_self_att\.self\.(.*)",
                _cross(f"attention_self.{side}", offset=1),
            ),
            (
                rf"{layer}{stream}_self_att\.output\.(.*)",
                _cross(f"attention_output.{side}", offset=1),
            ),
            (
                rf"{layer}{stream}_inter\.(.*)",
                _cross(f"intermediate.{side}", offset=2),
            ),
            (rf"{layer}{stream}_output\.(.*)", _cross(f"output.{side}", offset=2)),
        ]
    return tuple(rows)


_VISN_FC = r"bert\.encoder\.visn_fc\."
_OBJECTS = r"obj_predict_head\."

LXMERT = SourceNames(
    kind="original LXMERT",
    renames=(
        (r"bert\.embeddings\..*", r"\g<0>"),
        (rf"{_VISN_FC}visn_fc\.(.*)", r"bert.v_embeddings.image_embeddings.\1"),
        (rf"{_VISN_FC}visn_layer_norm\.(.*)", r"bert.v_embeddings.ImgLayerNorm.\1"),
        (rf"{_VISN_FC}box_fc\.(.*)", r"bert.v_embeddings.image_location_embeddings.\1"),
        (rf"{_VISN_FC}box_layer_norm\.(.*)", r"bert.v_embeddings.LocLayerNorm.\1"),
        *_lxmert_layers(),
        (r"bert\.pooler\.(.*)", r"bert.t_pooler.\1"),
        (r"cls\.seq_relationship\.(.*)", r"cls.bi_seq_relationship.\1"),
        (r"cls\.predictions\..*", r"\g<0>"),
        (rf"{_OBJECTS}transform\.(.*)", r"cls.imagePredictions.transform.\1"),
        (
            rf"{_OBJECTS}decoder_dict\.obj\.(.*)",
            r"cls.imagePredictions.decoder_dict.3.\1",
        ),
        (
            rf"{_OBJECTS}decoder_dict\.attr\.(.*)",
            r"cls.imagePredictions.decoder_dict.4.\1",
        ),
        (
            rf"{_OBJECTS}decoder_dict\.feat\.(.*)",
            r"cls.imagePredictions.decoder_dict.5.\1",
        ),
    ),
    ignored=(
        (r"answer_head\..*", "question answering head, no part of the model"),
        _POSITION_IDS,
    ),
    notes=(
        "image-text matching scores are not faithful: LXMERT pools with tanh and its "
        "class 1 means a matching pair, the published configuration pools with ReLU "
        "and has class 0 for it (fusion_act: tanh and swapped classes would make them "
        "so); the MLM and region heads are faithful",
    ),
)

KINDS: dict[str, Callable[[ModelConfig], SourceNames]] = {
    "volta": lambda config: VOLTA,
    "lxmert": lambda config: LXMERT,
    "bert": bert,
}
