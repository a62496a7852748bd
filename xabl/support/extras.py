"""What to install where a package is missing."""

# The extras of setup.cfg, by the names the packages are imported by. "" is what every
# command needs.
_EXTRAS = {
    "": (
        "flax h5py jax jaxlib jaxtyping lmdb ml_dtypes numpy orbax pyarrow safetensors "
        "tokenizers tqdm"
    ),
    "pretraining": (
        "array_record grain importlib_resources msgpack optax tensorboardX "
        "tensorflow_datasets"
    ),
    "analysis": "jinja2 matplotlib pandas PIL scipy",
    "studies": "pydantic yaml",
    "cluster": "submitit",
    "tagger": "stanza",
}
EXTRA_OF = {name: extra for extra, names in _EXTRAS.items() for name in names.split()}


def installing(package: str) -> str:
    """How to install a package that is missing, with all that its extra needs.

    Args:
        package: a name in `EXTRA_OF`.
    """
    extra = f"[{EXTRA_OF[package]}]" if EXTRA_OF[package] else ""
    return (
        f"the package {package} is not installed; run pip install '.{extra}' in the "
        f"checkout of xabl, or pip install 'xabl{extra}' where an index has it"
    )
