"""What the reader of several runs is told: what differs, and what is missing."""

from collections.abc import Iterable, Mapping, Sequence

from xabl.analysis import own_models
from xabl.analysis.verdicts import listed
from xabl.models.region_embedding import REGION_EMBEDDINGS
from xabl.results.losses import LOSSES
from xabl.results.reading import Run


def differences(runs: Sequence[Run]) -> list[str]:
    """Settings that differ: the runs are kept, the reader is told."""
    settings = {
        "region features": lambda run: run.manifest["data"].get("regions_sha256"),
        "precision": lambda run: run.manifest.get("precision"),
        "image token": lambda run: _identity(run).get("image_token"),
        "VL-BERT positions": lambda run: (
            _identity(run).get("vlbert_positions") if _positions_vary(run) else None
        ),
        "overlap thresholds": lambda run: (
            tuple(run.manifest.get("thresholds") or ()) or None
        ),
    }
    notes = []
    for words, setting in settings.items():
        groups: dict[object, list[str]] = {}
        for run in runs:
            if setting(run) is not None:
                groups.setdefault(setting(run), []).append(run.title)
        if len(groups) > 1:
            apart = "; ".join(
                f"{_short(value)} ({listed(titles)})"
                for value, titles in groups.items()
            )
            notes.append(f"the runs differ in {words}: {apart}")
    return notes


def _positions_vary(run: Run) -> bool:
    """Whether the model's positions depend on which captions shared a batch."""
    config = run.manifest["model"].get("config")
    name = config.get("image_embeddings") if isinstance(config, dict) else None
    kind = REGION_EMBEDDINGS.get(name) if isinstance(name, str) else None
    return kind is not None and kind.positions_follow_words


def _identity(run: Run) -> dict[str, object]:
    return run.manifest.get("identity") or {}


def _short(value: object) -> str:
    if isinstance(value, tuple):
        return " ".join(f"{item:g}" for item in value)
    return str(value)[:12]


def same_parameters(runs: Sequence[Run]) -> list[str]:
    """Seeds that are none: one model under several seeds says nothing of seeds."""
    titles: dict[tuple[str, object], list[str]] = {}
    for run in runs:
        digest = run.manifest["model"].get("params_sha256")
        if digest is not None:
            titles.setdefault((run.label, digest), []).append(run.title)
    return [
        f"{'; '.join(found)}: the same parameters under several seeds; they are one "
        "model, so intervals over seeds are too narrow"
        for found in titles.values()
        if len(found) > 1
    ]


def gaps(runs: Iterable[Run], missing_seeds: Mapping[str, Sequence[int]]) -> list[str]:
    """What is missing: seeds of labels, and scores of runs.

    Args:
        missing_seeds: by label (`Study.missing_seeds`).
    """
    notes = [
        f"{label}: no results for {'seed' if len(seeds) == 1 else 'seeds'} "
        + ", ".join(map(str, seeds))
        for label, seeds in missing_seeds.items()
    ]
    titles: dict[str, list[str]] = {}
    for run in runs:
        for note in _gaps_of(run):
            titles.setdefault(note, []).append(run.title)
    for note, (first, *others) in titles.items():
        more = f" and {len(others)} other runs" if len(others) > 1 else ""
        both = f" and {others[0]}" if len(others) == 1 else ""
        notes.append(f"{first}{more}{both}: {note}")
    return notes


def _gaps_of(run: Run) -> list[str]:
    notes = [
        f"{len(places)} scores of {LOSSES[name].title} under {condition} are not "
        f"finite (first: example {run.example_ids[places[0]]}); no mean is given there"
        for (_, condition, name), places in run.not_finite.items()
        if name in LOSSES
    ]
    counts: dict[str, list[int]] = {}
    for key in run.excluded:
        for reason, count in run.excluded_counts(*key).items():
            counts.setdefault(reason, []).append(count)
    excluded = [
        f"up to {max(found)} examples excluded ({reason}) in {len(found)} conditions"
        for reason, found in counts.items()
    ]
    return [*notes, *run.problems, *excluded, *own_models.notes(run)]
