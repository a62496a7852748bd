"""Cross-modal input ablation of vision-and-language BERTs in JAX/Flax.

    model = xabl.load("models/uniter")
    scores = xabl.ablate(model, entities="flickr30k_entities", regions="regions.h5")
    scores.summary(), scores.frame(), scores.save("results/uniter")

    regions = xabl.regions("regions.h5", entities="flickr30k_entities")
    example = model.example(
        regions["1000092795"], "Two young guys with shaggy hair", phrase=(0, 3)
    )
    example.ablate("all"), example.ablate(regions=[3, 7]), example.show()

load        a model directory: `Model`, whose `example` is one phrase and image
ablate      the ablation of a whole split: `Scores`
regions     image regions of a file, by image id
            and of a model of one's own:
ablate_function   a function from `Words` and `Regions` to `Logits`
ablate_anything   a function that is told what an `Ablation` is, and reads what it likes
UserError   what is raised when a file or an argument is wrong; says what to do

Beside it: `xabl.results` writes, checks and reads results directories, `xabl.analysis`
makes tables, figures and a report of them; the command `xabl` does all of it on files.
"""

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from xabl.ablation.any_input import Ablation as Ablation
    from xabl.ablation.any_model import Logits as Logits
    from xabl.ablation.any_model import Regions as Regions
    from xabl.ablation.any_model import Words as Words
    from xabl.errors import UserError as UserError
    from xabl.python.example import Example as Example
    from xabl.python.model import Model as Model
    from xabl.python.model import load as load
    from xabl.python.own import ablate_anything as ablate_anything
    from xabl.python.own import ablate_function as ablate_function
    from xabl.python.regions import regions as regions
    from xabl.python.scores import Scores as Scores
    from xabl.python.scores import ablate as ablate

# Where each name lives: imported when it is first asked for, since jax takes a second.
_HOMES = {
    "UserError": "xabl.errors",
    "Ablation": "xabl.ablation.any_input",
    "Logits": "xabl.ablation.any_model",
    "Regions": "xabl.ablation.any_model",
    "Words": "xabl.ablation.any_model",
    "Example": "xabl.python.example",
    "Model": "xabl.python.model",
    "load": "xabl.python.model",
    "regions": "xabl.python.regions",
    "Scores": "xabl.python.scores",
    "ablate": "xabl.python.scores",
    "ablate_anything": "xabl.python.own",
    "ablate_function": "xabl.python.own",
}
__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'xabl' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return [*globals(), *_HOMES]
