"""The whole method on a small world: what `xabl demo` runs.

The world is made twice: with a detector that is right (gold labels), and with one that
errs as often as the published detector (silver labels). Small models are pretrained on
each and ablated in two ways; then tables, sentences, figures and report are written.
"""

import dataclasses
import math
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from xabl import analysis
from xabl.analysis import verdicts
from xabl.analysis.figures import write_figures
from xabl.analysis.report import ReportOptions, write_report
from xabl.analysis.terms import TERMS
from xabl.analysis.word_classes import by_word_class, title
from xabl.results.conditions import Condition, Direction, Level
from xabl.results.losses import LOSSES, PUBLISHED_MAIN
from xabl.results.summary import aligned
from xabl.results.ways import WAYS
from xabl.results.word_classes import WordClass
from xabl.support.atomic import new_file
from xabl.synthetic.parallel_trials import run_trials
from xabl.synthetic.trials import SmallWorld, Trial, TrialFolders
from xabl.synthetic.world.files import image_numbers
from xabl.synthetic.world.images import World
from xabl.synthetic.world.pictures import draw_pictures
from xabl.synthetic.world.settings import LABEL_NOISES, WorldSettings
from xabl.synthetic.world.vocabulary import COLOURS

# Beside the published ways of removing: the one that regions and words both have.
_WAY = "drop"
_WIDTH = 88
_MAIN = "all"  # the ablation that the sentences are about


@dataclasses.dataclass(frozen=True, kw_only=True)
class DemoSettings:
    """Size of the demo; the defaults take minutes on two cores.

    train_images, val_images: of the world.
    seeds: models for each kind of labels.
    steps: updates of each model.
    processes: models trained at the same time.
    """

    train_images: int = 2000
    val_images: int = 60
    # A second one says nothing of others like it: that takes three, and the minutes.
    seeds: int = 1
    steps: int = 2400
    processes: int = 2


def run_demo(output: Path, settings: DemoSettings | None = None) -> None:
    """Runs the demo in a folder, or continues an earlier run there.

    Raises:
        UserError: `output` cannot be written to.
    """
    settings = settings or DemoSettings()
    trials = [
        _trial(labels, seed, settings)
        for seed in range(settings.seeds)
        for labels in LABEL_NOISES
    ]
    print(_beginning(output, settings), flush=True)
    results = run_trials(trials, output, settings.processes)
    gold = TrialFolders(root=output, trial=trials[0])
    world = trials[0].world.settings
    pictures = output / "pictures"
    draw_pictures(World(world), image_numbers(world)["val"], pictures)
    text = story(results, world)
    with new_file(output / "answer.txt", overwrite=True) as temporary:
        temporary.write_text(text, encoding="utf-8")
    print("\n" + text, flush=True)
    write_figures(results, output / "figures", numbers=(1, 10, 11))
    write_report(
        results,
        output / "report.html",
        ReportOptions(
            images=pictures,
            # The worlds differ in the detector's labels, not in its regions.
            regions=gold.regions,
            class_names=gold.world / "objects_vocab.txt",
            overwrite=True,
        ),
    )
    for name in ("answer.txt", "figures", "report.html"):
        print(output / name)


def story(results: Sequence[Path], world: WorldSettings) -> str:
    """Tables with intervals, and what they say in words that the numbers choose.

    Args:
        world: what is true of the captions.
    """
    study = analysis.load_study(list(results))
    bootstrap = analysis.effects.bootstrap_of(study)
    effects = analysis.effects.differences(study, bootstrap, metrics=PUBLISHED_MAIN)
    words = by_word_class(study, bootstrap)
    if len(words):
        words = words[words["condition"] == _MAIN]
    misled = analysis.misled.lost_and_misled(study, bootstrap)
    whole = effects[effects["condition"] == _MAIN]
    parts = {
        "What removing adds to the losses, in bits (95% intervals over images)": [
            _effects_table(effects)
        ],
        "Of a phrase, what do all regions tell? Bits a word, by class of word": [
            _words_table(words)
        ],
        "Does the model use the other modality?": _sentences(
            verdicts.effect_sentence, whole
        ),
        "For which words?": list(word_sentences(words, world)),
        "Is information lost, or do the regions that stay mislead?": _sentences(
            verdicts.misled_sentence, misled
        ),
        "Which way is the influence larger, and is it so in both ways of removing?": [
            analysis.answer.verdict(
                analysis.asymmetry.asymmetry(study, bootstrap), effects
            )
        ],
        "Do labels matter?": _sentences(
            verdicts.comparison_sentence, _labels(study, bootstrap)
        ),
    }
    sections = [
        "\n".join([title, "-" * len(title), *(_wrapped(line) for line in lines)])
        for title, lines in parts.items()
    ]
    return "\n\n".join([*map(_wrapped, study.warnings()), *sections]) + "\n"


def _beginning(output: Path, settings: DemoSettings) -> str:
    """What is done, and the terms, to read while models are trained."""
    ways = [
        f"{direction.wording.ablated}: {WAYS[direction][_WAY].meaning}"
        for direction in Direction
    ]
    lines = [
        f"A small world whose truth is known, made twice: with "
        f"{' and with '.join(LABEL_NOISES)} labels. On each, models of "
        f"{verdicts.seeds_in_words(settings.seeds)} are pretrained and ablated, in the "
        f"published ways and by {_WAY}. Everything goes to {output}.",
        "",
        *(f"{term.name}: {term.meaning}." for term in TERMS),
        f"{_WAY}: another way of removing. Of {'; of '.join(ways)}.",
        "",
    ]
    return "\n".join(map(_wrapped, lines))


def _effects_table(rows: pd.DataFrame) -> str:
    lines = [["model", "seeds", "loss", "removed", "intact", "change", "interval"]]
    for row in rows.to_dict("records"):
        condition = Condition.parse(row["direction"], row["condition"])
        lines.append(
            [
                row["model"],
                str(row["seeds"]),
                LOSSES[row["metric"]].title,
                f"{condition.direction.wording.ablated}: {condition.title}",
                f"{row['none']:.3f}",
                *_change(row),
            ]
        )
    return aligned(lines)


def _words_table(rows: pd.DataFrame) -> str:
    lines = [["model", "words", "intact", "change", "interval", "how many"]]
    for row in rows.to_dict("records"):
        lines.append(
            [
                row["model"],
                title(row["word_class"]),
                f"{row['none']:.3f}",
                *_change(row),
                f"{row['n']:,}",
            ]
        )
    return aligned(lines)


def _change(row: verdicts.Row) -> list[str]:
    known = row["evidence"] != verdicts.NOT_MEASURED
    interval = f"{row['low']:+.3f} to {row['high']:+.3f}" if known else ""
    return [f"{row['difference']:+.3f}", interval]


def _sentences(sentence, rows: pd.DataFrame) -> list[str]:
    return [f"- {sentence(row)}" for row in rows.to_dict("records")]


def word_sentences(words: pd.DataFrame, world: WorldSettings) -> Iterator[str]:
    """What the table by class says of each model, beside what is true of the world.

    Args:
        words: rows of `by_word_class` of one condition.
    """
    for model, rows in words.groupby("model", sort=False) if len(words) else ():
        yield f"- {verdicts.word_classes_sentence(rows.to_dict('records'))}"
        if rows["guessing"].any():
            continue  # what it predicts worse without the image says nothing
        by_class = rows.set_index("word_class")
        there = [kind for kind in world.classes_from_image if kind in by_class.index]
        calls = by_class["evidence"]
        worse = [kind for kind in there if calls[kind] == verdicts.HIGHER]
        unknown = (*worse, *(k for k in there if calls[k] == verdicts.NOT_MEASURED))
        same = [kind for kind in there if kind not in unknown]
        text = f"In this world {_titles(there)} of captions follow the image."
        if worse:
            text += f" {model}: without it, {_titles(worse)} are predicted worse."
        if same:
            text += (
                f" {model}: no evidence that it is used for {_titles(same)}, although "
                "it tells them."
            )
        if WordClass.ADJECTIVE in there:
            intact = by_class.loc[WordClass.ADJECTIVE, "none"]
            guess = math.log2(len(COLOURS))
            text += (
                f" Guessing one of {len(COLOURS)} colours costs {guess:.3f} bits; with "
                f"the whole image these models pay {intact:.3f}, "
                f"{'less' if intact < guess else 'no less'}."
            )
        yield f"  {text}"


def _titles(kinds: Sequence[WordClass]) -> str:
    return verdicts.join_words(kind.title for kind in kinds) if kinds else "no words"


def _labels(study: analysis.Study, bootstrap: analysis.ImageBootstrap) -> pd.DataFrame:
    """Gold against silver: what removing everything adds, a row for each direction."""
    pair = (study.models[0].label, study.models[1].label)
    table = analysis.comparisons.compare_models(study, bootstrap, [pair])
    return table[(table["quantity"] == "effect") & (table["condition"] == Level.ALL)]


def _wrapped(text: str) -> str:
    """Paragraphs filled, tables and what else has lines left as they are."""
    if "\n" in text or len(text) <= _WIDTH:
        return text
    indent = " " * (len(text) - len(text.lstrip(" -")))
    return textwrap.fill(text, _WIDTH, subsequent_indent=indent)


def _trial(labels: str, seed: int, settings: DemoSettings) -> Trial:
    return Trial(
        name=f"{labels}_{seed}",
        label=f"{labels} labels",
        world=SmallWorld(
            name=labels,
            train_images=settings.train_images,
            val_images=settings.val_images,
            label_noise=labels,
        ),
        seed=seed,
        steps=settings.steps,
        replace=(_WAY,),
        predictions=5,
    )
