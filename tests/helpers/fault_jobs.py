"""The jobs that `faults` lets fail: each a command on files that take a moment."""

import os
from pathlib import Path


class Job:
    """One command, on files so small that it takes a moment.

    inputs: a folder for what it reads. output: what it makes, alone in its folder.
    """

    def __init__(self, inputs: Path, output: Path):
        self.inputs, self.output = inputs, output

    def prepare(self) -> None:
        """Makes what is read, and an old output."""

    def run(self) -> None:
        """Runs it, replacing an output."""

    def state(self) -> str:
        """ "old" or "new"; raises for anything else."""

    def check(self) -> None:
        """Compares what is new with the output of a run that nothing disturbed."""


class Import(Job):
    def prepare(self):
        from tests.helpers import tiny_corpus
        from xabl.data.regions import import_regions, open_regions, tsv_files

        images = [tiny_corpus.image(str(n), feature_size=16) for n in range(1, 5)]
        tsv_files.write(self.inputs / "r.tsv", images)
        with open_regions(self.inputs / "r.tsv") as source:
            import_regions(source, ["1"], self.output)

    def run(self):
        from xabl.data.regions import import_regions, open_regions

        with open_regions(self.inputs / "r.tsv") as source:
            ids = source.image_ids
            import_regions(source, ids, self.output, overwrite=True)

    def state(self):
        from xabl.data.regions import open_regions

        with open_regions(self.output) as source:
            count = len(source.read_all(source.image_ids))
        return {1: "old", 4: "new"}[count]


class World(Job):
    form = "lmdb"

    def _make(self, seed):
        from xabl.synthetic.world.files import make_world
        from xabl.synthetic.world.settings import WorldSettings

        settings = WorldSettings(
            seed=seed, train_images=1, val_images=1, test_images=1, feature_size=16
        )
        make_world(self.output, settings, regions_form=self.form, overwrite=True)

    def prepare(self):
        self._make(1)

    def run(self):
        self._make(2)

    def state(self):
        import json

        from xabl.data.regions import open_regions

        about = json.loads((self.output / "world.json").read_text())
        with open_regions(self.output / about["regions"]) as source:
            assert len(source.read_all(source.image_ids)) == 3
        return {1: "old", 2: "new"}[about["settings"]["seed"]]


class Convert(Job):
    def prepare(self):
        import dataclasses
        import json

        from tests.helpers import ablation
        from tests.helpers.torch_writer import write_torch_file
        from xabl.models import model_directory

        config = ablation.shallow("uniter")
        (self.inputs / "config.json").write_text(json.dumps(config.to_dict()))
        state = ablation.ruled_tensors(config)
        from xabl.models.reference_names import reference_names

        for reference in reference_names(config).values():
            for alias in reference.aliases:
                state[alias] = state[reference.name]
        write_torch_file(self.inputs / "m.bin", state, "zip")
        old = dataclasses.replace(config, name="old")
        params = ablation.ruled_params(config)
        model_directory.save(self.output, old, params, report={})

    def run(self):
        from checkpoints_conversion.conversion import convert_file

        convert_file(
            self.inputs / "m.bin",
            self.output,
            config=str(self.inputs / "config.json"),
            overwrite=True,
        )

    def state(self):
        from xabl.models import model_directory

        config, _ = model_directory.load(self.output)
        return "old" if config.name == "old" else "new"


class Ablate(Job):
    """Of a text-only model: it writes what every model does, and is compiled sooner."""

    def prepare(self):
        from tests.helpers import ablation, ablation_binaries

        config = ablation.shallow("bert")
        params = ablation.ruled_params(config)
        ablation_binaries.save(self.inputs / "model", config, params)
        self._ablate(self.inputs / "new", 4)
        self._begin()

    def _begin(self):
        self._ablate(self.output, 2)

    def _ablate(self, output, limit, **how):
        from tests.helpers import golden_world
        from xabl.ablation.options import InputFiles, Options, RunOptions
        from xabl.ablation.run import run

        _keep_programs(self.inputs)
        files = InputFiles(
            model=self.inputs / "model", entities=golden_world.ENTITIES, limit=limit
        )
        options = RunOptions(
            files=files,
            evaluation=Options(batch_size=2),
            output=output,
            devices=1,
            **how or {"overwrite": True},
        )
        run(options)

    def run(self):
        self._ablate(self.output, 4)

    def state(self):
        from xabl.results.reading import read

        return {2: "old", 4: "new"}[len(read(self.output).example_ids)]

    def check(self):
        tables = sorted((self.inputs / "new").glob("*.parquet"))
        assert len(tables) == 3
        for table in tables:
            assert (self.output / table.name).read_bytes() == table.read_bytes()


class Resume(Ablate):
    """The same with --resume, and scores on disk after every step."""

    def _begin(self):
        """There is nothing yet."""

    def run(self):
        from xabl.ablation.engine import unfinished

        unfinished._SECONDS_BETWEEN_PARTS = 0.0
        self._ablate(self.output, 4, resume=True)

    def state(self):
        return super().state() if self.output.exists() else "old"


class Corpus(Job):
    def prepare(self):
        from tests.helpers import tiny_corpus
        from xabl.data.regions import tsv_files

        images = [tiny_corpus.image(str(n), feature_size=16) for n in range(1, 5)]
        tsv_files.write(self.inputs / "r.tsv", images)
        text = ", ".join(f'"{n}": "a dog"' for n in range(1, 5))
        (self.inputs / "c.json").write_text(f"{{{text}}}")
        self._build(2)

    def _build(self, limit):
        from xabl.pretraining.corpus.writer import build_corpus

        build_corpus(
            self.inputs / "r.tsv",
            self.inputs / "c.json",
            self.output,
            "train",
            limit=limit,
            overwrite=True,
        )

    def run(self):
        self._build(4)

    def state(self):
        from xabl.pretraining.corpus.reader import Corpus as Reader

        corpus = Reader(self.output, "train")
        for number in range(corpus.num_images):
            corpus.image(number)
        return {2: "old", 4: "new"}[corpus.num_images]


_OLD_PAGE = "<!DOCTYPE html>\nold"  # what is no page is not replaced


class Report(Job):
    def prepare(self):
        from tests.helpers import fake_results

        models = fake_results.paper_models()[:1]
        fake_results.write_study(self.inputs / "results", models)
        self.output.write_text(_OLD_PAGE)

    def run(self):
        from xabl.analysis.report import ReportOptions, write_report

        options = ReportOptions(resamples=100, overwrite=True)
        write_report(sorted((self.inputs / "results").iterdir()), self.output, options)

    def state(self):
        text = self.output.read_text()
        if text == _OLD_PAGE:
            return "old"
        return "new" if text.rstrip().endswith("</html>") else text


class Pretrain(Job):
    """The output is a run's folder; what must not be lost is that it goes on.

    What is learnt is not asked here: the loss is one that is traced in a moment.
    """

    def prepare(self):
        from tests.helpers import tiny_runs

        tiny_runs.write_data(self.inputs)
        self._pretrain(self.inputs / "new")

    def _pretrain(self, workdir):
        from tests.helpers import tiny_runs
        from xabl.pretraining.objective import forward
        from xabl.pretraining.train import pretrain

        forward.sum_losses = _sum_of_squares
        _keep_programs(self.inputs)
        config = tiny_runs.config(
            self.inputs, epochs=1, model=tiny_runs.model("bert_base"), valid_split=None
        )
        assert pretrain(config, workdir)

    def run(self):
        self._pretrain(self.output)

    def state(self):
        from xabl.models import model_directory

        if not (self.output / "model").exists():
            return "old"
        model_directory.load(self.output / "model")
        return "new"

    def check(self):
        from tests.helpers import tiny_runs

        tiny_runs.assert_same_run(self.output, self.inputs / "new")


def _sum_of_squares(objective, parameters, batch, keys, pool, *, dropout):
    """Of all parameters, for every word that is seen."""
    import jax
    import jax.numpy as jnp

    words = jnp.sum(batch.token_ids.astype(jnp.float32))
    squares = (jnp.sum(x**2) for x in jax.tree.leaves(parameters))
    return dict.fromkeys(objective.weights, words * sum(squares) / 1e6)


def _keep_programs(inputs: Path) -> None:
    from xabl.support.compilation_cache import use_compilation_cache

    os.environ["XDG_CACHE_HOME"] = str(inputs / "cache")
    use_compilation_cache()


JOBS = {
    "import": Import,
    "world": World,
    "convert": Convert,
    "ablate": Ablate,
    "resume": Resume,
    "corpus": Corpus,
    "report": Report,
    "pretrain": Pretrain,
}
