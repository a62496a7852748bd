r"""How many mismatches are found, and how many healthy cases are suspected.

Trains small models on synthetic worlds, then draws further images of each model's own
world: healthy cases, and cases with a mismatch planted (`benchmarks.planted`). What is
in `output` already is not done again.

Bounds of the checks were chosen on worlds with the seeds 0 and 3; the others are for
counting.

  python -m benchmarks.mismatches --output=mismatches
"""

import dataclasses
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from absl import flags

from benchmarks.planted import PLANTS, Trained, healthy, judge
from xabl.data.word_pieces import WordPieces
from xabl.models import model_directory
from xabl.pretraining.train import pretrain
from xabl.results.summary import aligned
from xabl.support import binary
from xabl.support.compilation_cache import use_compilation_cache
from xabl.support.devices import LocalDevices
from xabl.support.progress import Progress
from xabl.synthetic.trials import (
    SmallWorld,
    Trial,
    TrialFolders,
    make_small_world,
    pretraining_of,
)
from xabl.synthetic.world.images import World

FLAGS = flags.FLAGS

HEALTHY = "nothing (healthy)"
# Worlds by seed. Poor labels, and captions of which a third ignore the image, are no
# mismatch.
_WORLDS = {
    0: {},
    1: {"label_noise": "silver"},
    2: {},
    3: {"label_noise": "silver"},
    4: {"vision_to_language": 0.7},
    5: {"surviving_leaks": "both"},
}
_FIRST = 10_000  # number of the first image of a case: none is in the training
_APART = 100  # numbers from one case to the next
_TOGETHER = 18  # cases that are scored with the same programs
_FIRST_CASES = "drawing and scoring the first cases"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """Cases of one kind, and in how many of them something was found.

    found: by all checks.
    found_without: without the description of the model's training.
    """

    kind: str
    cases: int
    found: int
    found_without: int


def trial(name: str, steps: int, images: int) -> Trial:
    """The training of a model that is called as "UNITER_2": architecture, seed."""
    architecture, seed = name.split("_")
    world = SmallWorld(
        name=f"seed{seed}",
        seed=int(seed),
        train_images=images,
        **_WORLDS[int(seed)],
    )
    return Trial(
        name=name,
        label=architecture,
        world=world,
        architecture=architecture,
        seed=int(seed),
        steps=steps,
    )


def trained(one: Trial, root: Path) -> Trained:
    """Trains a model, unless it is there."""
    folders = TrialFolders(root=root, trial=one)
    directory = folders.run / "model"
    if not directory.exists():
        make_small_world(one, root)
        pretrain(pretraining_of(folders), folders.run)
    config, params = model_directory.load(directory)
    return Trained(
        world=World(one.world.settings),
        config=config,
        params=params,
        word_pieces=WordPieces(model_directory.vocabulary_path(directory)),
        described=model_directory.trained_regions(directory),
    )


def cases(counts: dict[str, int]) -> Iterator[tuple[str, int, int]]:
    """Kind, number and first image of every case."""
    for place, kind in enumerate((HEALTHY, *PLANTS)):
        for number in range(counts[kind]):
            yield kind, number, _FIRST + (1_000 * place + number) * _APART


def judged(
    model: Trained, group: Sequence[tuple[str, int, int]], images: int
) -> list[dict[str, object]]:
    """What is found in each case of a group."""
    drawn = []
    for kind, number, first in group:
        case = healthy(model.world, first, images)
        if kind != HEALTHY:
            random = np.random.default_rng(number)
            case = PLANTS[kind](case, model.world, first, random)
        drawn.append(case)
    return [
        {"kind": kind, "number": number, **dataclasses.asdict(found)}
        for (kind, number, _), found in zip(
            group, judge(drawn, model, LocalDevices()), strict=True
        )
    ]


def table(lines: Sequence[dict[str, object]]) -> list[Row]:
    """Counts by kind."""
    rows = []
    for kind in (HEALTHY, *PLANTS):
        own = [line for line in lines if line["kind"] == kind]
        rows.append(
            Row(
                kind=kind,
                cases=len(own),
                found=sum(bool(line["with_description"]) for line in own),
                found_without=sum(bool(line["without"]) for line in own),
            )
        )
    return rows


def text(rows: Sequence[Row]) -> str:
    """The table, with 95% intervals (Clopper and Pearson)."""
    lines = [["planted", "cases", "found", "95%", "without description", "95%"]]
    for row in rows:
        if row.cases:
            lines.append([row.kind, str(row.cases)])
            for count in (row.found, row.found_without):
                lines[-1] += [str(count), interval(count, row.cases)]
    return aligned(lines)


def interval(count: int, total: int) -> str:
    """In percent."""
    from scipy.stats import binomtest

    found = binomtest(count, total).proportion_ci(method="exact")
    return f"{100 * found.low:.1f} to {100 * found.high:.1f}"


def main() -> None:
    use_compilation_cache()
    root = Path(FLAGS.output)
    (root / "cases").mkdir(parents=True, exist_ok=True)
    lines = []
    for name in FLAGS.models:
        path = root / "cases" / f"{name}.jsonl"
        done = []
        if path.exists():
            done = [json.loads(line) for line in path.read_text().splitlines()]
        counts = {HEALTHY: FLAGS.healthy, **dict.fromkeys(PLANTS, FLAGS.planted)}
        there = {(line["kind"], line["number"]) for line in done}
        left = [case for case in cases(counts) if case[:2] not in there]
        if left:
            model = trained(trial(name, FLAGS.steps, FLAGS.train_images), root)
            with Progress(len(left), "cases", first=_FIRST_CASES) as progress:
                for start in range(0, len(left), _TOGETHER):
                    group = left[start : start + _TOGETHER]
                    new = judged(model, group, FLAGS.images)
                    with open(path, "a", encoding="utf-8") as file:
                        file.writelines(json.dumps(line) + "\n" for line in new)
                    done += new
                    progress.update(len(group))
        lines += done
    print(text(table(lines)))


def define_flags() -> None:
    flags.DEFINE_string("output", None, "folder of models and cases", required=True)
    flags.DEFINE_list(
        "models",
        ["UNITER_1", "UNITER_2", "ViLBERT_2", "UNITER_4"],
        "architecture and seed of the world of each model",
    )
    flags.DEFINE_integer("healthy", 50, "healthy cases of each model")
    flags.DEFINE_integer("planted", 5, "cases of each model and kind of mismatch")
    flags.DEFINE_integer("images", 48, "of a case")
    flags.DEFINE_integer("steps", 1500, "updates of each model")
    flags.DEFINE_integer("train_images", 1000, "that each model is trained on")


if __name__ == "__main__":
    binary.run(main, define_flags=define_flags)
