"""What the three binaries share: their flags, and the way from file to directory."""

from absl import flags

_CHECKPOINT = flags.DEFINE_string(
    "checkpoint", None, "the published file, or its folder", required=True
)
_CONFIG = flags.DEFINE_string(
    "config",
    None,
    "a preset (such as ctrl_uniter_base) or a configuration in JSON; absent, the "
    "checkpoint is recognised",
)
_OUTPUT = flags.DEFINE_string(
    "output", None, "the model directory to write", required=True
)
_VOCAB = flags.DEFINE_string(
    "vocab",
    None,
    "vocab.txt of the model's word pieces, to be kept with it; absent, the one beside "
    "the checkpoint",
)
_OVERWRITE = flags.DEFINE_bool("overwrite", False, "replace an existing model")


def run_conversion() -> None:
    """Converts as the flags say and prints a summary.

    Raises:
        UserError: as `conversion.convert_file`.
    """
    # Here and not above, so that --help is quick.
    from checkpoints_conversion.conversion import convert_file

    summary = convert_file(
        _CHECKPOINT.value,
        _OUTPUT.value,
        config=_CONFIG.value,
        vocabulary=_VOCAB.value,
        overwrite=_OVERWRITE.value,
    )
    print(summary)
    print(f"wrote {_OUTPUT.value}")
