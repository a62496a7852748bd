"""The golden world through the real binaries: checkpoint, model directory, results."""

import functools
import json
import re
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from tests.helpers import ablation, binaries, golden, golden_world
from tests.helpers.binaries import Finished
from tests.helpers.torch_writer import write_torch_file
from xabl.models import model_directory
from xabl.models.config import ModelConfig

STORE = "store"
# What an ablation says while it works.
AT_WORK = re.compile(r"reading |scoring some phrases first|.*inputs (\[|yet: )")
FORMS = (*golden_world.FORMS, STORE)


class Workshop:
    """A folder where each file that several tests read is made once.

    cache: of compiled programs, so that a question is compiled once.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.cache = folder / "cache"
        self.regions = functools.cache(self._regions)
        self.model = functools.cache(self._model)
        self.small_model = functools.cache(self._small_model)

    def _regions(self, form: str) -> Path:
        """The world's image regions in one of `FORMS`."""
        if form != STORE:
            return golden_world.write_regions(self.folder, form)
        output = self.folder / "regions.h5"
        done = binaries.run(
            "experiments.import_regions",
            source=self.regions("lmdb"),
            image_ids=golden_world.ENTITIES / "val.txt",
            output=output,
        )
        assert done.status == 0, done.err
        return output

    def _model(self, name: str, layout: str) -> Path:
        """A golden model, converted from a checkpoint in one of torch's layouts."""
        case, output = golden.ablation_case(name), self.folder / f"{name}-{layout}"
        checkpoint = self.folder / f"{name}-{layout}.bin"
        write_torch_file(checkpoint, case.state_dict(), layout)
        done = binaries.run(
            "checkpoints_conversion.convert_volta",
            checkpoint=checkpoint,
            config=case.config_file,
            vocab=golden_world.VOCABULARY,
            output=output,
        )
        assert done.status == 0, done.err
        return output

    def _small_model(self, kind: str) -> Path:
        """A model directory of `ablation.shallow(kind)`, quickly compiled."""
        config, output = ablation.shallow(kind), self.folder / kind
        save(output, config, ablation.ruled_params(config))
        return output

    def flags(self, **flags: object) -> dict[str, object]:
        """Of an ablation of the golden world; `None` takes a flag away."""
        return {
            "entities": golden_world.ENTITIES,
            "regions": self.regions("lmdb"),
        } | flags

    def ablate(self, *, quick: bool = True, **flags: object) -> Finished:
        """Runs xabl ablate on the golden world.

        Args:
            quick: see `binaries.environment`.
        """
        return binaries.run(
            "experiments.ablate", cache=self.cache, quick=quick, **self.flags(**flags)
        )

    @property
    def environment(self) -> dict[str, str]:
        """Of the same in a process that a test starts for itself."""
        return binaries.environment(self.cache, quick=True)


def save(output: Path, config: ModelConfig, params: dict, **changed: object) -> None:
    """A model directory with the golden vocabulary."""
    given = {"vocabulary": golden_world.VOCABULARY, "report": {"source": "a test"}}
    model_directory.save(output, config, params, **given | changed)


def columns(results: Path, table: str = "scores") -> dict[str, np.ndarray]:
    """A table of a results directory; null is NaN in numbers and None in text."""
    found = pq.read_table(results / f"{table}.parquet")
    return {name: found[name].to_numpy() for name in found.column_names}


def manifest(results: Path) -> dict:
    return json.loads((results / "manifest.json").read_text())
