r"""Converts a published checkpoint to a model directory.

--kind says who wrote the file. PyTorch is not needed, and nothing in the file is
executed.

  volta    the controlled models: pytorch_model_<epoch>.bin, pytorch_ckpt_latest.tar
  bert     text-only BERT as Hugging Face has it: pytorch_model.bin, model.safetensors;
           the text-only baseline of the ablation, and what pretraining starts from
  lxmert   the original LXMERT: Epoch20_LXRT.pth, without its question answering head;
           the report says which scores are faithful

Examples:

  xabl convert --kind=volta --checkpoint=pytorch_model_9.bin \
    --config=ctrl_uniter_base --vocab=vocab.txt --output=models/ctrl_uniter_base
  xabl convert --kind=bert --checkpoint=pytorch_model.bin \
    --vocab=vocab.txt --output=models/bert_base
  xabl convert --kind=lxmert --checkpoint=Epoch20_LXRT.pth \
    --vocab=vocab.txt --output=models/lxmert
"""

from absl import flags

from xabl.errors import UserError

FLAGS = flags.FLAGS

_DEFAULT_CONFIG = {"volta": None, "bert": "bert_base", "lxmert": "lxmert"}


def define_flags() -> None:
    flags.DEFINE_enum(
        "kind", None, list(_DEFAULT_CONFIG), "who wrote the checkpoint", required=True
    )
    flags.DEFINE_string("checkpoint", None, "the published file", required=True)
    flags.DEFINE_string("output", None, "the model directory to write", required=True)
    flags.DEFINE_string(
        "config",
        None,
        "a preset (such as ctrl_uniter_base) or a configuration in JSON; needed for "
        "volta, bert_base and lxmert for the others unless given",
    )
    flags.DEFINE_string(
        "vocab", None, "vocab.txt of the model's word pieces, to be kept with it"
    )
    flags.DEFINE_bool("overwrite", False, "replace an existing model")


def main() -> None:
    from checkpoints_conversion.conversion import convert_file

    config = FLAGS.config or _DEFAULT_CONFIG[FLAGS.kind]
    if config is None:
        raise UserError("--config: give a preset or a configuration file")
    summary = convert_file(
        FLAGS.checkpoint,
        FLAGS.output,
        kind=FLAGS.kind,
        config=config,
        vocabulary=FLAGS.vocab,
        overwrite=FLAGS.overwrite,
    )
    print(summary)
    print(f"wrote {FLAGS.output}")
