"""What the three binaries share: their flags, and the way from file to directory."""

from absl import flags

from xabl.errors import UserError

_CHECKPOINT = flags.DEFINE_string(
    "checkpoint", None, "the published file", required=True
)
_CONFIG = flags.DEFINE_string(
    "config", None, "a preset (such as ctrl_uniter_base) or a configuration in JSON"
)
_OUTPUT = flags.DEFINE_string(
    "output", None, "the model directory to write", required=True
)
_VOCAB = flags.DEFINE_string(
    "vocab", None, "vocab.txt of the model's word pieces, to be kept with it"
)
_OVERWRITE = flags.DEFINE_bool("overwrite", False, "replace an existing model")


def run_conversion(kind: str, *, default_config: str | None) -> None:
    """Converts as the flags say and prints a summary; `kind` is one of `KINDS`.

    Raises:
        UserError: as `conversion.convert`, `model_directory.save`.
    """
    # Here and not above, so that --help is quick.
    from checkpoints_conversion import conversion, source_names
    from xabl.models import model_directory
    from xabl.models.presets import load_config

    config_name = _CONFIG.value or default_config
    if config_name is None:
        raise UserError("--config: give a preset or a configuration file")
    config = load_config(config_name)
    model_directory.check_output(_OUTPUT.value, overwrite=_OVERWRITE.value)
    if _VOCAB.value is not None:
        model_directory.check_vocabulary(_VOCAB.value, config)
    file = conversion.open_checkpoint(_CHECKPOINT.value)
    converted = conversion.convert(file, config, source_names.KINDS[kind](config))
    model_directory.save(
        _OUTPUT.value,
        config,
        converted.params,
        vocabulary=_VOCAB.value,
        report=converted.report,
        overwrite=_OVERWRITE.value,
    )
    print(conversion.summary(converted.report))
    print(f"wrote {_OUTPUT.value}")
