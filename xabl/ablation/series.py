"""Runs of one process after each other, which share what they can."""

import dataclasses
import functools
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jax.sharding import NamedSharding

from xabl.ablation.engine.device_loop import Evaluation
from xabl.ablation.engine.scorer import Params
from xabl.ablation.input_files import check_files
from xabl.ablation.inputs import Inputs, read_inputs
from xabl.ablation.options import InputFiles, Options, Precision
from xabl.models import model_directory
from xabl.support.devices import LocalDevices
from xabl.support.files import read_bytes
from xabl.support.freed_memory import return_freed

_NOT_FASTER = (
    "this processor has no instructions for bfloat16 (avx512_bf16 or AMX): "
    "--precision=highest is likely to be as fast, and is exact"
)


class Series:
    """Reads files and compiles programs once for models of one configuration.

    Data and options must be the same, too; where they are not, all is made anew.
    """

    def __init__(self, num_devices: int | None = None, *, is_single: bool = False):
        """Begins with nothing to share.

        Args:
            num_devices: how many local devices to use; all by default.
            is_single: there will be one run only: memory is spared where it can be.
        """
        self._num_devices, self._is_single = num_devices, is_single
        self._inputs: tuple[Any, Inputs] | None = None
        self._evaluation: tuple[Any, Evaluation] | None = None
        self._ahead: tuple[Path, Params] | None = None

    @functools.cached_property
    def devices(self) -> LocalDevices:
        """What the runs are computed on."""
        return LocalDevices(self._num_devices)

    def load_ahead(self, model: Path) -> None:
        """Reads the parameters of a later run, in whatever thread."""
        self._ahead = model, _params(model, self.devices.replicated)

    def read(
        self, files: InputFiles, say: Callable[[str], None]
    ) -> tuple[Inputs, Params]:
        """All files. Parameters first: reading them takes memory that regions need.

        Raises:
            UserError: see `check_files`, `read_inputs`, `model_directory.load`.
        """
        check_files(files, model_directory.load_config(files.model))
        ahead, self._ahead = self._ahead, None
        is_there = ahead is not None and ahead[0] == files.model
        sharding = self.devices.replicated  # or there are not as many
        say(f"reading the model {files.model}")
        params = ahead[1] if is_there else _params(files.model, sharding)
        return_freed()
        same = self._same(files)
        if self._inputs is not None and self._inputs[0] == same:
            return self._inputs[1], params
        self._inputs = self._evaluation = None
        data = files.entities, files.regions
        say(f"reading {' and '.join(map(str, filter(None, data)))}, and planning")
        inputs = read_inputs(files, say)
        return_freed()  # what planning took
        if not self._is_single:
            self._inputs = same, inputs
        return inputs, params

    def evaluation(
        self,
        inputs: Inputs,
        params: Params,
        options: Options,
        say: Callable[[str], None],
    ) -> Evaluation:
        """The model placed on the devices, with the programs of the one before."""
        same = self._inputs and self._inputs[0], options
        if self._evaluation is not None and self._evaluation[0] == same:
            evaluation = self._evaluation[1]
            evaluation.take(params, inputs.store)
            return evaluation
        self._evaluation = None
        return_freed()  # an evaluation is a circle: the one before is on the devices
        if options.precision is Precision.BFLOAT16 and self.devices.lack_bfloat16:
            say(_NOT_FASTER)
        few = self._is_single and self.devices.are_the_host
        options = dataclasses.replace(options, few_programs=few)
        evaluation = Evaluation(inputs.request(params, options), self.devices)
        if not self._is_single:
            evaluation.keep_programs()
            self._evaluation = same, evaluation
        return evaluation

    def _same(self, files: InputFiles) -> Any:
        """Equal for runs that read the same but for the parameters."""
        vocabulary = model_directory.vocabulary_path(files.model)
        return (
            dataclasses.replace(files, model=None),
            model_directory.load_config(files.model),
            vocabulary and hashlib.sha256(read_bytes(vocabulary)).digest(),
        )


def _params(model: Path, sharding: NamedSharding) -> Params:
    return model_directory.load(model, sharding=sharding)[1]
