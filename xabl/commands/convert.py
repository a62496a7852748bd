r"""Converts a published checkpoint to a model directory.

The checkpoint is recognised by the names and shapes of its tensors, and by a
config.json beside it; what it is and what was assumed is printed. PyTorch is not
needed, and nothing in the file is executed.

  VOLTA          the controlled models: pytorch_model_<epoch>.bin or
                 pytorch_ckpt_latest.tar
  LXMERT         the original (Epoch20_LXRT.pth) and transformers'
  VisualBERT     transformers'
  BERT           transformers': the text-only baseline of the ablation, and what
                 pretraining starts from

In any layout: .bin, .pth, .tar or .safetensors, in one file or in several with an
index, or the folder that holds them.

Examples:

  xabl convert pytorch_model_9.bin --output=models/ctrl_uniter_base --vocab=vocab.txt
  xabl convert lxmert-base-uncased/ --output=models/lxmert
  xabl convert Epoch20_LXRT.pth --config=lxmert --output=models/lxmert
"""

from absl import flags

from xabl.errors import UserError

FLAGS = flags.FLAGS

POSITIONAL = "checkpoint"


def define_flags() -> None:
    flags.DEFINE_string(
        "checkpoint", None, "the published file, or the folder that holds it"
    )
    flags.DEFINE_string("output", None, "the model directory to write", required=True)
    flags.DEFINE_string(
        "config",
        None,
        "a preset (such as ctrl_uniter_base) or a configuration in JSON; by default "
        "the checkpoint is recognised",
    )
    flags.DEFINE_string(
        "vocab",
        None,
        "vocab.txt or tokenizer.json of the model's word pieces, to be kept with it; "
        "by default the one beside the checkpoint",
    )
    flags.DEFINE_bool("overwrite", False, "replace an existing model")


def main() -> None:
    from checkpoints_conversion.conversion import convert_file

    if FLAGS.checkpoint is None:
        raise UserError("give the checkpoint: xabl convert FILE --output=DIRECTORY")
    summary = convert_file(
        FLAGS.checkpoint,
        FLAGS.output,
        config=FLAGS.config,
        vocabulary=FLAGS.vocab,
        overwrite=FLAGS.overwrite,
    )
    print(summary)
    print(f"wrote {FLAGS.output}")
