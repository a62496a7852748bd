r"""Measures everything on one accelerator, in parts, under twelve minutes for all.

Builds a world of 1,000 images and full-size models with random parameters, then runs
the parts, one process each: a part that fails is reported and the others go on.
Results are written as they come, to one JSON file; a table is printed last. Runs
without lmdb, grain, array_record and tensorflow-datasets (but the golden part). With
--tiny it runs on a CPU to the last line. More in benchmarks/README.md.

Parts:

  golden                            the golden cases of the tests, on the device
  encoder                           ways to compute a layer, and to multiply matrices
  ablation:MODEL:PRECISION/...      whole runs in one process, errors against highest;
                                    precisions may be algorithms, as JAX names them
  seeds:MODEL:PRECISION             ten models of a kind one after the other
  process:MODEL:PRECISION           experiments.ablate twice, programs kept in between
  pretraining:MODEL:COMPUTE/...     updates of 256 examples, in bfloat16 or float32

Any of them may end with @SECONDS, after which it is stopped.

Example:

  python -m benchmarks.accelerator --parts=encoder,ablation:ctrl_uniter_base:bfloat16
"""

import dataclasses
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from absl import flags

from xabl.support import binary
from xabl.support.atomic import new_file

_UNITER, _LXMERT = "ctrl_uniter_base", "ctrl_lxmert"
_EVERYTHING = (
    "golden",
    f"ablation:{_UNITER}:bfloat16/default/highest",
    f"ablation:{_LXMERT}:bfloat16/default/highest",
    f"seeds:{_UNITER}:bfloat16",
    f"pretraining:{_UNITER}:bfloat16/float32",
    f"process:{_UNITER}:bfloat16",
    "encoder",
)
_PARTS = flags.DEFINE_list("parts", list(_EVERYTHING), "which, in this order")
_SECONDS = flags.DEFINE_integer("seconds", 680, "for all parts together")
_PART_SECONDS = flags.DEFINE_integer(
    "part_seconds", 300, "for each part, unless it says"
)
_TINY = flags.DEFINE_bool("tiny", False, "small sizes, to try the command itself")
_OUTPUT = flags.DEFINE_string("output", None, "folder of the results", required=True)
_FOLDER = flags.DEFINE_string(
    "folder", None, "of world and models, kept (default: a temporary one)"
)
_ONLY = flags.DEFINE_string("only", None, "one part, in this process (internal)")


def main() -> None:
    if _ONLY.value:
        _run_part(_ONLY.value, Path(_FOLDER.value), Path(_OUTPUT.value))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(_FOLDER.value or temporary)
        output = Path(_OUTPUT.value)
        output.mkdir(parents=True, exist_ok=True)
        _run_parts(folder, output)


def _run_parts(folder: Path, output: Path) -> None:
    until = time.monotonic() + _SECONDS.value
    begin = time.monotonic()
    # Neither needs the other's device or cores, so they share the time.
    first = [_start("prepare", folder, output, JAX_PLATFORMS="cpu")]
    parts = list(_PARTS.value)
    aside = []
    if parts[0].startswith("golden"):
        aside.append(_start(parts.pop(0), folder, output))
    if parts and parts[0].startswith("encoder"):
        first.append(_start(parts.pop(0), folder, output))
    for process in first:
        _wait(*process, until)
    for part in parts:
        _wait(*_start(part, folder, output), until)
    for process in aside:
        _wait(*process, until)
    from benchmarks.accelerator_report import text

    print(text(output), flush=True)
    print(f"all parts: {time.monotonic() - begin:.0f} s")


def _start(
    part: str, folder: Path, output: Path, **environment: str
) -> tuple[str, subprocess.Popen, float]:
    """Name, process and when to stop it."""
    part, _, seconds = part.partition("@")
    command = [sys.executable, "-m", "benchmarks.accelerator", f"--only={part}"]
    command += [f"--folder={folder}", f"--output={output}"]
    command += ["--tiny"] if _TINY.value else []
    # What shares the device for a while must not take all of its memory.
    if part in ("golden", "encoder"):
        environment["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"
    log = open(output / f"{_file_name(part)}.log", "w")  # noqa: SIM115
    process = subprocess.Popen(
        command,
        env=os.environ | environment,
        cwd=Path(__file__).parent.parent,
        stdout=log,
        stderr=subprocess.STDOUT,
    )
    return part, process, time.monotonic() + float(seconds or _PART_SECONDS.value)


def _wait(part: str, process: subprocess.Popen, own: float, until: float) -> None:
    try:
        process.wait(max(1, min(own, until) - time.monotonic()))
        state = "done" if process.returncode == 0 else f"ended {process.returncode}"
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        state = "stopped: no time left"
    print(f"{time.strftime('%H:%M:%S')} {part}: {state}", flush=True)


def _run_part(part: str, folder: Path, output: Path) -> None:
    """Runs one part; its results so far are always in its file."""
    name, *arguments = part.split(":")
    if name == "golden":
        _golden(output)
        return
    found: list[dict[str, Any]] = []
    begin = time.monotonic()
    if name == "ablation":
        from xabl.support.compilation_cache import use_compilation_cache

        # The part `process` finds what was compiled here.
        os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
        use_compilation_cache()
    for facts in _PART[name](folder, *arguments):
        found.append({**facts, "at_second": round(time.monotonic() - begin, 1)})
        if name != "prepare":
            _write(output / f"{_file_name(part)}.json", part, found)


def _write(path: Path, part: str, found: list[dict[str, Any]]) -> None:
    from benchmarks import machine

    content = {"part": part, "machine": machine.machine(), "found": found}
    with new_file(path, overwrite=True) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n")


def _file_name(part: str) -> str:
    return part.replace(":", "_").replace("/", "_")


def _prepare(folder: Path) -> Iterator[dict[str, Any]]:
    from benchmarks.parameters import save_model
    from benchmarks.world import make_world

    world = make_world(folder / "world", num_images=3 if _TINY.value else 1000)
    yield {"made": "world"}
    for name in (_UNITER, _LXMERT):
        save_model(folder / name, _config(name), world.vocabulary)
        yield {"made": name}


def _config(name: str) -> Any:
    """A full-size model; a narrow and shallow one where all is tiny."""
    from xabl.models.presets import load_config

    config = load_config(name)
    if not _TINY.value:
        return config
    heads = {"num_attention_heads": 4, "v_num_attention_heads": 4}
    widths = {"hidden_size": 64, "v_hidden_size": 64, "pooler_size": 64}
    inner = {"intermediate_size": 128, "v_intermediate_size": 128}
    config = dataclasses.replace(config, **heads, **widths, **inner, v_pooler_size=64)
    if name != _UNITER:
        return config
    lists = [field.name for field in dataclasses.fields(config)]
    lists = [name for name in lists if name.endswith("_sublayers")]
    few = {name: tuple(n for n in getattr(config, name) if n < 4) for name in lists}
    return dataclasses.replace(config, **few)


def _encoder(folder: Path) -> Iterator[dict[str, Any]]:
    from benchmarks import encoder_variants as encoder

    del folder
    width, variants = encoder.Width(), encoder.VARIANTS
    if _TINY.value:
        width = encoder.Width(hidden=64, inner=128, heads=4)
        variants = tuple(dataclasses.replace(v, batch=4) for v in variants[:3])
    yield from encoder.square_products((128,) if _TINY.value else (8192,))
    yield from encoder.measure(width, variants)


def _ablation(folder: Path, model: str, wanted: str) -> Iterator[dict[str, Any]]:
    from benchmarks import whole_runs

    files = whole_runs.files_of(folder, model)
    yield from whole_runs.precisions(files, wanted.split("/"))


def _seeds(folder: Path, model: str, precision: str) -> Iterator[dict[str, Any]]:
    from benchmarks import whole_runs

    files = whole_runs.files_of(folder, model)
    yield from whole_runs.seeds(files, 2 if _TINY.value else 10, precision)


def _process(folder: Path, model: str, precision: str) -> Iterator[dict[str, Any]]:
    from benchmarks import growth
    from benchmarks.whole_runs import world_of

    world = world_of(folder)
    # Once more where nothing was kept before the first.
    for number in (2,) if (folder / "cache").exists() else (1, 2):
        run = growth.Run(grows="models", size=number, images=1000)
        flag = f"--precision={precision}"
        yield growth.measure(run, folder / model, world, folder / "cache", flag)


def _pretraining(folder: Path, model: str, wanted: str) -> Iterator[dict[str, Any]]:
    from benchmarks.updates_in_memory import Question, answer

    for compute in wanted.split("/"):
        question = Question(
            model=_config(model),
            batch_size=4 if _TINY.value else 256,
            compute=compute,
            precision="default",
        )
        yield answer(question, folder / "world")


_PART = {
    "prepare": _prepare,
    "encoder": _encoder,
    "ablation": _ablation,
    "seeds": _seeds,
    "process": _process,
    "pretraining": _pretraining,
}


def _golden(output: Path) -> None:
    """Golden cases in float32; pytest's own lines are the result."""
    command = [sys.executable, "-m", "pytest", "-q", "-m", "not slow"]
    command += ["--import-mode=importlib", "-o", "addopts=", "-o", "filterwarnings="]
    command += ["-p", "no:cacheprovider", "--numprocesses=auto"]
    command += ["tests/models/test_golden.py", "tests/ablation/test_golden.py"]
    # Small models: what tuning takes is not worth it.
    found = os.environ.get("XLA_FLAGS", "")
    quick = f"{found} --xla_gpu_autotune_level=0"
    done = subprocess.run(
        command, env=os.environ | {"XLA_FLAGS": quick}, capture_output=True, text=True
    )
    tail = (done.stdout + done.stderr).splitlines()[-30:]
    _write(output / "golden.json", "golden", [{"pytest": tail}])
    sys.exit(done.returncode)


if __name__ == "__main__":
    binary.run(main)
