r"""Measures everything on one accelerator, in parts, under twelve minutes for all.

Builds a world of 1,000 images and full-size models with random parameters, then runs
the parts, one process each: a part that fails is reported and the others go on.
Results are written as they come, a JSON file and a log for each part; tables are
printed last. Nothing takes turns with what is measured, and pretraining gets its
batches from memory: on an accelerator a whole run takes seconds. It runs without lmdb,
grain, array_record and tensorflow-datasets. With --tiny it runs on a CPU to the last
line. More in benchmarks/README.md.

Parts:

  golden                            the golden cases of the tests, on the device
  ablation:MODEL:PRECISION/...      whole runs in one process, errors against highest;
                                    with ~100 after a precision so many images of it
  seeds:MODEL:PRECISION             ten models of a kind one after the other
  process:MODEL:PRECISION           xabl ablate, twice, programs kept in between
  pretraining:MODEL:COMPUTE/...     updates of 256 examples, in bfloat16 or float32
  products                          the ways to multiply float32 matrices

Any of them may end with @SECONDS, after which it is stopped.

Example:

  python -m benchmarks.accelerator --output=found --parts=ablation:ctrl_lxmert:bfloat16
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
    "products",
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

_PYTEST = (
    *("pytest", "-q", "-m", "not slow", "--import-mode=importlib"),
    *("-o", "addopts=", "-o", "filterwarnings=", "-p", "no:cacheprovider"),
    *("--numprocesses=auto", "tests/models/test_golden.py"),
    "tests/ablation/test_golden.py",
)


def main() -> None:
    if _ONLY.value:
        _run_part(_ONLY.value, Path(_FOLDER.value), Path(_OUTPUT.value))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(_FOLDER.value or temporary).absolute()
        output = Path(_OUTPUT.value).absolute()
        output.mkdir(parents=True, exist_ok=True)
        _run_parts(folder, output)


def _run_parts(folder: Path, output: Path) -> None:
    begin = time.monotonic()
    until = begin + _SECONDS.value
    parts, aside = list(_PARTS.value), []
    # The tests and the files that are made need neither the other's device nor cores.
    if parts and parts[0].startswith("golden"):
        aside.append(_Part(parts.pop(0), folder, output))
    _Part("prepare", folder, output, JAX_PLATFORMS="cpu").wait(until)
    for name in parts:
        _Part(name, folder, output).wait(until)
    for part in aside:
        part.wait(until)
    print(_text(output), flush=True)
    print(f"all parts: {time.monotonic() - begin:.0f} s")


class _Part:
    """A part that runs in a process of its own; what it says goes to a log."""

    def __init__(self, part: str, folder: Path, output: Path, **environment: str):
        self.name, _, seconds = part.partition("@")
        self._until = time.monotonic() + float(seconds or _PART_SECONDS.value)
        tiny = ["--tiny"] if _TINY.value else []
        command = ["benchmarks.accelerator", f"--only={self.name}", *tiny]
        command += [f"--folder={folder}", f"--output={output}"]
        if self.name == "golden":
            command = list(_PYTEST)
            # Small models: what tuning takes is not worth it. And others are at work
            # on the device.
            found = os.environ.get("XLA_FLAGS", "")
            environment["XLA_FLAGS"] = f"{found} --xla_gpu_autotune_level=0"
            environment["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"
        elif self.name == "products":
            size = 128 if _TINY.value else 8192
            command = ["benchmarks.products", f"--size={size}"]
        with open(output / f"{_file_name(self.name)}.log", "w") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", *command],
                env=os.environ | environment,
                cwd=Path(__file__).parent.parent,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def wait(self, until: float) -> None:
        """Until it ends, or its time is over, or that of all; says which."""
        try:
            status = self._process.wait(
                max(1.0, min(self._until, until) - time.monotonic())
            )
            state = "done" if status == 0 else f"ended with {status}"
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            state = "stopped: no time left"
        print(f"{time.strftime('%H:%M:%S')} {self.name}: {state}", flush=True)


def _run_part(part: str, folder: Path, output: Path) -> None:
    """Runs one part; its results so far are always in its file."""
    name, *arguments = part.split(":")
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


def _text(output: Path) -> str:
    """All parts: tables, and the last lines of what has none."""
    from benchmarks.report import text

    found = []
    for log in sorted(output.glob("*.log")):
        path = log.with_suffix(".json")
        if path.exists():
            content = json.loads(path.read_text())
            about = {"part": content["part"], "device": content["machine"]["device"]}
            found.append(text({**about, "found": content["found"]}))
        else:
            lines = log.read_text().splitlines()[-12:]
            found.append("\n".join([f"== {log.stem}", *lines]))
    return "\n\n".join(found)


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

    world, flag = world_of(folder), f"--precision={precision}"
    for number in (1, 2):
        facts = growth.whole_run(folder, folder / model, world, [flag], 1)
        yield {"run": number, **facts}


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
    "ablation": _ablation,
    "seeds": _seeds,
    "process": _process,
    "pretraining": _pretraining,
}


if __name__ == "__main__":
    binary.run(main)
