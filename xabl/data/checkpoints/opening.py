"""Opens a checkpoint: one file, several with an index, or a folder with either."""

from pathlib import Path

from xabl.data.checkpoints.safetensors_files import open_safetensors
from xabl.data.checkpoints.tensors import TensorFile
from xabl.data.checkpoints.torch_files import open_torch_file
from xabl.errors import UserError, from_system, reason
from xabl.support.files import ZIP, beginning, read_json

# In a folder, the first of these that is there is the checkpoint.
_USUAL_NAMES = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)
SUFFIXES = (".safetensors", ".bin", ".pth", ".pt", ".tar", ".ckpt")
_INDEX = ".index.json"


def is_checkpoint(path: Path) -> bool:
    """Whether a file is called as checkpoints are, or such a one lies in a folder."""
    if path.is_dir():
        return any(is_checkpoint(each) for each in path.iterdir() if each.is_file())
    return path.suffix in SUFFIXES or path.name.endswith(_INDEX)


def open_checkpoint(path: Path | str) -> TensorFile:
    """The weights of a .bin, .pth, .tar or .safetensors file, or of a folder with one.

    Args:
        path: also the index of a checkpoint in several files (`*.index.json`).

    Raises:
        UserError: unreadable, cut, holding code, or not such a file; a folder with
            none or several.
    """
    path = Path(path)
    if path.is_dir():
        path = _file_in(path)
    try:
        beginning(path, allowed=ZIP)
    except FileNotFoundError as error:
        what = "no such file; give the checkpoint that was published"
        raise UserError(f"{path}: {what}") from error
    except OSError as error:
        raise from_system(error, path, "cannot be read") from error
    if path.name.endswith(_INDEX):
        return _open_sharded(path)
    if path.suffix == ".safetensors":
        return open_safetensors(path)
    return open_torch_file(path)


def _file_in(folder: Path) -> Path:
    for name in _USUAL_NAMES:
        if (folder / name).is_file():
            return folder / name
    found = sorted(path for path in folder.iterdir() if path.suffix in SUFFIXES)
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(path.name for path in found[:5])
        raise UserError(
            f"{folder}: holds {len(found)} checkpoints ({names}); give the one to take"
        )
    raise UserError(
        f"{folder}: holds no checkpoint; give a folder with one of "
        f"{', '.join(_USUAL_NAMES)}, or the file itself"
    )


def _open_sharded(index: Path) -> TensorFile:
    """Joins the files of an index, {"weight_map": {tensor: file}}."""
    try:
        weight_map = read_json(index, "the index of a checkpoint")["weight_map"]
        names = sorted(set(weight_map.values()))
        if any(Path(name).name != name or name.endswith(_INDEX) for name in names):
            raise ValueError("it names files outside its folder, or an index")
        absent = [name for name in names if not (index.parent / name).is_file()]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"{index}: not the index of a checkpoint in several files "
            f"({reason(error)}); fetch it again"
        ) from error
    if absent:
        raise UserError(
            f"{index}: {len(absent)} of its {len(names)} files are not there: "
            f"{', '.join(absent[:5])}; put them beside it"
        )
    shards = {name: open_checkpoint(index.parent / name) for name in names}
    lost = [
        name for name, shard in weight_map.items() if name not in shards[shard].tensors
    ]
    if lost or not shards:
        raise UserError(
            f"{index}: {len(lost)} of its {len(weight_map)} tensors are not in the "
            f"files it names, such as {lost[:1]}; fetch them and the index again"
        )
    layouts = sorted({shard.layout for shard in shards.values()})
    return TensorFile(
        path=index,
        layout=f"{', '.join(layouts)} in {len(shards)} files",
        tensors={
            name: shards[shard].tensors[name] for name, shard in weight_map.items()
        },
        skipped={},
        parts=tuple(index.parent / name for name in names),
    )
