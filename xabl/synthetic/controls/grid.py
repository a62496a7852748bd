"""The settings of the controls study, and its trainings."""

import dataclasses

from xabl.synthetic.trials import ARCHITECTURES, SmallWorld, Trial
from xabl.synthetic.world.settings import LABEL_NOISES

VISION_TO_LANGUAGE = (0.0, 0.25, 0.5, 0.75, 1.0)
# Updates until vision for language is learned well; ViLBERT learns more in each.
_STEPS = {"UNITER": 2400, "ViLBERT": 1600}
# Where only some phrases follow the image, training continues from the model of the
# same seed for which all did: from random values, small models need too long to find a
# weak signal. Where none does, training starts from random values: a model that had
# learned to look would test how well it forgets.
_STEPS_ON = 1000
# What happens in pretraining to other regions that show a masked region's object.
_OVERLAP_MASKING = {"low": "zero_features", "high": "published"}
_LEAKS = ("none", "both")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Setting:
    """What is true in a world and its pretraining.

    vision_to_language: see `WorldSettings`.
    labels: `WorldSettings.label_noise`.
    overlap: what other regions show of a masked region in pretraining. "low": those of
        the same object are masked with it; "high": they stay visible, as published.
    leaks: `WorldSettings.surviving_leaks`.
    """

    vision_to_language: float = 1.0
    labels: str = "gold"
    overlap: str = "low"
    leaks: str = "none"

    @property
    def name(self) -> str:
        return f"{self.world}-{self.overlap}"

    @property
    def world(self) -> str:
        """Name of the world, which settings that differ in overlap share."""
        return f"{self.vision_to_language:g}-{self.labels}-{self.leaks}"


BASE = Setting()


@dataclasses.dataclass(frozen=True, kw_only=True)
class ControlsOptions:
    """How much of the study is run.

    quick: one seed of three settings: the base, no phrase that follows the image, and
        silver labels.
    seeds: trainings of each setting and model.
    steps: updates of each model; None: as many as it needs.
    train_images, val_images: of each world.
    processes: trainings at the same time.
    """

    quick: bool = False
    seeds: int = 3
    steps: int | None = None
    train_images: int = 2000
    val_images: int = 60
    processes: int = 2


def settings(quick: bool = False) -> list[Setting]:
    """The 12 settings of the study, or the 3 of the quick one."""
    if quick:
        return [
            BASE,
            Setting(vision_to_language=0.0),
            dataclasses.replace(BASE, labels="silver"),
        ]
    knob = [Setting(vision_to_language=s) for s in reversed(VISION_TO_LANGUAGE)]
    grid = [
        Setting(labels=labels, overlap=overlap, leaks=leaks)
        for labels in LABEL_NOISES
        for overlap in _OVERLAP_MASKING
        for leaks in _LEAKS
    ]
    return list(dict.fromkeys(knob + grid))


def trials(options: ControlsOptions) -> list[tuple[Setting, Trial]]:
    """All trainings, seed by seed, so that an unfinished study has complete seeds."""
    return [
        (setting, _trial(setting, architecture, seed, options))
        for seed in range(1 if options.quick else options.seeds)
        for setting in settings(options.quick)
        for architecture in ARCHITECTURES
    ]


def _trial(
    setting: Setting, architecture: str, seed: int, options: ControlsOptions
) -> Trial:
    def name(of: Setting) -> str:
        return f"{of.name}-{architecture}-{seed}"

    goes_on = 0 < setting.vision_to_language < BASE.vision_to_language
    return Trial(
        name=name(setting),
        label=architecture,
        world=SmallWorld(
            name=setting.world,
            train_images=options.train_images,
            val_images=options.val_images,
            vision_to_language=setting.vision_to_language,
            label_noise=setting.labels,
            surviving_leaks=setting.leaks,
        ),
        architecture=architecture,
        overlap_masking=_OVERLAP_MASKING[setting.overlap],
        seed=seed,
        start=name(BASE) if goes_on else None,
        steps=options.steps or (_STEPS_ON if goes_on else _STEPS[architecture]),
    )
