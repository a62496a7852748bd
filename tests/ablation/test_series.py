"""Checkpoints of one architecture after each other: read and compiled once."""

import logging
import re

import jax
import pytest

from tests.helpers import ablation, ablation_binaries, golden_world
from xabl.ablation.options import InputFiles, Options, Precision, RunOptions
from xabl.ablation.run import run
from xabl.ablation.series import Series
from xabl.support import devices

pytestmark = pytest.mark.usefixtures("quick_unless_slow")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two models of one architecture, one of another, and regions."""
    folder = tmp_path_factory.mktemp("series")
    golden_world.write_regions(folder, "lmdb")
    for kind, seeds in (("uniter", (1, 2)), ("two-stream", (1,))):
        config = ablation.shallow(kind)
        params = ablation.ruled_params(config)
        for seed in seeds:
            own = jax.tree.map(lambda leaf, seed=seed: leaf * (1 + seed / 100), params)
            ablation_binaries.save(folder / f"{kind}-{seed}", config, own)
    return folder


@pytest.fixture
def ablate(folder, tmp_path):
    def ablated(model, series=None):
        output = tmp_path / f"{model}-{'series' if series else 'alone'}"
        files = InputFiles(
            model=folder / model,
            entities=golden_world.ENTITIES,
            regions=folder / "lmdb",
            thresholds=(0.5,),
            limit=20,
        )
        options = RunOptions(
            files=files, evaluation=Options(), output=output, devices=1
        )
        run(options, series)
        return (output / "scores.parquet").read_bytes()

    return ablated


@pytest.fixture
def compiled(caplog):
    """Names of what is compiled, in whatever thread."""
    jax.config.update("jax_log_compiles", True)
    with caplog.at_level(logging.WARNING):
        yield lambda: [
            name
            for record in caplog.records
            for name in re.findall(r"^Compiling (\S+)", record.getMessage())
        ]
    jax.config.update("jax_log_compiles", False)


def test_the_second_of_an_architecture_compiles_and_reads_nothing(
    ablate, folder, compiled, caplog, monkeypatch
):
    series = Series(1)
    first = ablate("uniter-1", series)
    assert compiled()
    caplog.clear()
    series.load_ahead(folder / "uniter-2")

    def read(*arguments):
        raise AssertionError("read again")

    monkeypatch.setattr("xabl.ablation.series.read_inputs", read)
    monkeypatch.setattr("xabl.models.model_directory.load", read)
    second = ablate("uniter-2", series)
    assert compiled() == []
    monkeypatch.undo()
    assert first != second
    assert second == ablate("uniter-2")


@pytest.mark.slow
def test_another_architecture_begins_anew(ablate):
    series = Series(1)
    ablate("uniter-1", series)
    assert ablate("two-stream-1", series) == ablate("two-stream-1")


def test_bfloat16_is_advised_against_where_it_gains_nothing(
    folder, tmp_path, monkeypatch
):
    """Once, for models that are computed alike."""
    processor = tmp_path / "cpuinfo"
    monkeypatch.setattr(devices, "_PROCESSOR", processor)
    series, said = Series(1), []
    files = InputFiles(
        model=folder / "uniter-1",
        entities=golden_world.ENTITIES,
        regions=folder / "lmdb",
        limit=2,
    )
    for features, precision, is_told in (
        ("fpu avx512f", Precision.HIGHEST, False),
        ("fpu avx512f amx_bf16", Precision.BFLOAT16, False),
        ("fpu avx512f", Precision.DEFAULT, False),
        ("fpu avx512f", Precision.BFLOAT16, True),
        ("fpu avx512f", Precision.BFLOAT16, False),
    ):
        processor.write_text(f"processor : 0\nflags\t: {features}\n")
        inputs, params = series.read(files, lambda line: None)
        options = Options(precision=precision)
        evaluation = series.evaluation(inputs, params, options, said.append)
        assert evaluation.scorer.precision is precision
        assert [line for line in said if "--precision=highest" in line] == said
        assert len(said) == is_told, (features, precision)
        said.clear()
