"""What `xabl ablate` was given, which the report takes unless it is told otherwise."""

from pathlib import Path

from xabl.analysis.study import Study
from xabl.data.class_names import OBJECTS

# Flags that the two commands share.
_FLAGS = ("images", "regions", "class_names")


def files_of_ablation(study: Study) -> tuple[dict[str, Path], dict[str, str]]:
    """Paths by flag, where all runs that were given one were given the same.

    Returns:
        Those that are there, the names of classes beside the regions among them; and,
        by flag, what to say of those that are not.
    """
    found, notes = {}, {}
    for flag in _FLAGS:
        given = {
            path
            for run in study.runs
            if isinstance(path := run.manifest.get("flags", {}).get(flag), str)
        }
        if len(given) != 1:
            continue
        path = Path(given.pop())
        if path.exists():
            found[flag] = path
        else:
            notes[flag] = (
                f"{path}, --{flag} of xabl ablate, is not to be found from here: give "
                f"it to xabl report as --{flag}"
            )
    if "regions" in found and "class_names" not in found:
        beside = found["regions"].parent / OBJECTS
        if beside.is_file():
            found["class_names"] = beside
    return found, notes
