"""Small checkpoints with transformers' names, their values by the golden rule."""

import json

import numpy as np

from tests.helpers.golden import rule_tensor

SIZES = dict(
    vocab_size=30,
    hidden_size=8,
    num_attention_heads=2,
    intermediate_size=12,
    max_position_embeddings=16,
)


def write_vocabulary(path, size):
    """A sound vocab.txt of so many pieces."""
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    pieces = [*special, *(f"piece{number}" for number in range(len(special), size))]
    path.write_text("\n".join(pieces) + "\n")
    return path


def lxmert_state(words=2, regions=3, cross=1):
    """A state dict with the names of LxmertForPreTraining."""
    shapes = {
        "lxmert.embeddings.word_embeddings.weight": (30, 8),
        "lxmert.embeddings.position_embeddings.weight": (16, 8),
        "lxmert.embeddings.token_type_embeddings.weight": (2, 8),
        "lxmert.encoder.visn_fc.visn_fc": (8, 6),
        "lxmert.encoder.visn_fc.box_fc": (8, 4),
        "lxmert.pooler.dense": (8, 8),
        "cls.predictions.transform.dense": (8, 8),
        "cls.seq_relationship": (2, 8),
        "obj_predict_head.transform.dense": (8, 8),
        "obj_predict_head.decoder_dict.obj": (1600, 8),
        "obj_predict_head.decoder_dict.attr": (400, 8),
        "obj_predict_head.decoder_dict.feat": (2048, 8),
        "answer_head.logit_fc.0": (16, 8),
        "cls.predictions.bias": (30,),
    }
    norms = [
        "lxmert.embeddings.LayerNorm",
        "lxmert.encoder.visn_fc.visn_layer_norm",
        "lxmert.encoder.visn_fc.box_layer_norm",
        "cls.predictions.transform.LayerNorm",
        "obj_predict_head.transform.LayerNorm",
    ]
    attentions, forwards = [], []
    for stack, number in (("layer", words), ("r_layers", regions)):
        for layer in range(number):
            start = f"lxmert.encoder.{stack}.{layer}"
            attentions.append((f"{start}.attention.self", f"{start}.attention.output"))
            forwards.append((f"{start}.intermediate", f"{start}.output"))
    for layer in range(cross):
        start = f"lxmert.encoder.x_layers.{layer}"
        for part, inner in (
            ("visual_attention", "att"),
            ("lang_self_att", "self"),
            ("visn_self_att", "self"),
        ):
            attentions.append((f"{start}.{part}.{inner}", f"{start}.{part}.output"))
        for side in ("lang", "visn"):
            forwards.append((f"{start}.{side}_inter", f"{start}.{side}_output"))
    return _filled(shapes, norms, attentions, forwards, "lxmert")


def visualbert_state(layers=2, features=6):
    """A state dict with the names of VisualBertForPreTraining."""
    embeddings = "visual_bert.embeddings"
    shapes = {
        f"{embeddings}.word_embeddings.weight": (30, 8),
        f"{embeddings}.position_embeddings.weight": (16, 8),
        f"{embeddings}.token_type_embeddings.weight": (2, 8),
        f"{embeddings}.visual_position_embeddings.weight": (16, 8),
        f"{embeddings}.visual_token_type_embeddings.weight": (2, 8),
        f"{embeddings}.visual_projection": (8, features),
        "visual_bert.pooler.dense": (8, 8),
        "cls.predictions.transform.dense": (8, 8),
        "cls.seq_relationship": (2, 8),
        "cls.predictions.bias": (30,),
    }
    norms = [f"{embeddings}.LayerNorm", "cls.predictions.transform.LayerNorm"]
    starts = [f"visual_bert.encoder.layer.{layer}" for layer in range(layers)]
    attentions = [(f"{s}.attention.self", f"{s}.attention.output") for s in starts]
    forwards = [(f"{s}.intermediate", f"{s}.output") for s in starts]
    state = _filled(shapes, norms, attentions, forwards, "visual_bert")
    state["cls.predictions.decoder.bias"] = state["cls.predictions.bias"]
    return state


def _filled(shapes, norms, attentions, forwards, base):
    shapes = dict(shapes)
    for attention, output in attentions:
        for part in ("query", "key", "value"):
            shapes[f"{attention}.{part}"] = (8, 8)
        shapes[f"{output}.dense"] = (8, 8)
        norms.append(f"{output}.LayerNorm")
    for inner, output in forwards:
        shapes |= {f"{inner}.dense": (12, 8), f"{output}.dense": (8, 12)}
        norms.append(f"{output}.LayerNorm")
    tensors = {}
    for name, shape in shapes.items():
        if name.endswith((".weight", ".bias")):
            tensors[name] = shape
        else:
            tensors |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
    for name in norms:
        tensors |= {f"{name}.weight": (8,), f"{name}.bias": (8,)}
    state = {name: rule_tensor(name, shape, 0) for name, shape in tensors.items()}
    words = f"{base}.embeddings.word_embeddings.weight"
    return state | {"cls.predictions.decoder.weight": state[words]}


def write_settings(folder, **fields):
    (folder / "config.json").write_text(json.dumps(SIZES | fields))


def write_hollow(path, shapes):
    """A safetensors file of any size that takes no room: all its numbers are holes."""
    header, end = {}, 0
    for name, shape in shapes.items():
        size = 4 * int(np.prod(shape))
        header[name] = {
            "dtype": "F32",
            "shape": list(shape),
            "data_offsets": [end, end + size],
        }
        end += size
    text = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + end)
    return path
