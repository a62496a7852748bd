"""The jobs that `faults` lets fail: each a command on files that take a moment."""

import os
from pathlib import Path


class Job:
    """One command, on files so small that it takes a moment."""

    def prepare(self, inputs: Path, root: Path) -> None:
        """Makes what is read, and an old output."""

    def run(self, inputs: Path, root: Path) -> None:
        """Runs it, replacing an output."""

    def state(self, root: Path) -> str:
        """ "old" or "new"; raises for anything else."""


class Import(Job):
    def prepare(self, inputs, root):
        from tests.helpers import tiny_corpus
        from xabl.data.regions import import_regions, open_regions, tsv_files

        root.mkdir()
        images = [tiny_corpus.image(str(n), feature_size=16) for n in range(1, 5)]
        tsv_files.write(inputs / "r.tsv", images)
        with open_regions(inputs / "r.tsv") as source:
            import_regions(source, ["1"], root / "output")

    def run(self, inputs, root):
        from xabl.data.regions import import_regions, open_regions

        with open_regions(inputs / "r.tsv") as source:
            ids = source.image_ids
            import_regions(source, ids, root / "output", overwrite=True)

    def state(self, root):
        from xabl.data.regions import open_regions

        with open_regions(root / "output") as source:
            count = len(source.read_all(source.image_ids))
        return {1: "old", 4: "new"}[count]


class World(Job):
    form = "lmdb"

    def _make(self, root, seed):
        from xabl.synthetic.world.files import make_world
        from xabl.synthetic.world.settings import WorldSettings

        settings = WorldSettings(
            seed=seed, train_images=1, val_images=1, test_images=1, feature_size=16
        )
        make_world(root / "output", settings, regions_form=self.form, overwrite=True)

    def prepare(self, inputs, root):
        root.mkdir()
        self._make(root, 1)

    def run(self, inputs, root):
        self._make(root, 2)

    def state(self, root):
        import json

        from xabl.data.regions import open_regions

        about = json.loads((root / "output" / "world.json").read_text())
        with open_regions(root / "output" / about["regions"]) as source:
            assert len(source.read_all(source.image_ids)) == 3
        return {1: "old", 2: "new"}[about["settings"]["seed"]]


class Convert(Job):
    def prepare(self, inputs, root):
        import dataclasses
        import json

        from tests.helpers import ablation
        from tests.helpers.torch_writer import write_torch_file
        from xabl.models import model_directory

        root.mkdir()
        config = ablation.shallow("uniter")
        (inputs / "config.json").write_text(json.dumps(config.to_dict()))
        state = ablation.ruled_tensors(config)
        from xabl.models.reference_names import reference_names

        for reference in reference_names(config).values():
            for alias in reference.aliases:
                state[alias] = state[reference.name]
        write_torch_file(inputs / "m.bin", state, "zip")
        old = dataclasses.replace(config, name="old")
        params = ablation.ruled_params(config)
        model_directory.save(root / "output", old, params, report={})

    def run(self, inputs, root):
        from checkpoints_conversion.conversion import convert_file

        convert_file(
            inputs / "m.bin",
            root / "output",
            config=str(inputs / "config.json"),
            overwrite=True,
        )

    def state(self, root):
        from xabl.models import model_directory

        config, _ = model_directory.load(root / "output")
        return "old" if config.name == "old" else "new"


class Ablate(Job):
    """Of a text-only model: it writes what every model does, and is compiled sooner."""

    def prepare(self, inputs, root):
        from tests.helpers import ablation, ablation_binaries

        root.mkdir()
        config = ablation.shallow("bert")
        ablation_binaries.save(inputs / "model", config, ablation.ruled_params(config))
        self._ablate(inputs, root, 2)

    def _ablate(self, inputs, root, limit):
        from tests.helpers import golden_world
        from xabl.ablation.engine.device_loop import Options
        from xabl.ablation.input_files import InputFiles
        from xabl.ablation.run import RunOptions, run
        from xabl.support.compilation_cache import use_compilation_cache

        os.environ["XDG_CACHE_HOME"] = str(inputs / "cache")
        use_compilation_cache()
        files = InputFiles(
            model=inputs / "model",
            entities=golden_world.ENTITIES,
            limit=limit,
        )
        options = RunOptions(
            files=files,
            evaluation=Options(batch_size=16),
            output=root / "output",
            overwrite=True,
            devices=1,
        )
        run(options)

    def run(self, inputs, root):
        self._ablate(inputs, root, 4)

    def state(self, root):
        from xabl.results.reading import read

        return {2: "old", 4: "new"}[len(read(root / "output").example_ids)]


class Corpus(Job):
    def prepare(self, inputs, root):
        from tests.helpers import tiny_corpus
        from xabl.data.regions import tsv_files

        root.mkdir()
        images = [tiny_corpus.image(str(n), feature_size=16) for n in range(1, 5)]
        tsv_files.write(inputs / "r.tsv", images)
        text = ", ".join(f'"{n}": "a dog"' for n in range(1, 5))
        (inputs / "c.json").write_text(f"{{{text}}}")
        self._build(inputs, root, 2)

    def _build(self, inputs, root, limit):
        from xabl.pretraining.corpus.writer import build_corpus

        build_corpus(
            inputs / "r.tsv",
            inputs / "c.json",
            root / "output",
            "train",
            limit=limit,
            overwrite=True,
        )

    def run(self, inputs, root):
        self._build(inputs, root, 4)

    def state(self, root):
        from xabl.pretraining.corpus.reader import Corpus as Reader

        corpus = Reader(root / "output", "train")
        for number in range(corpus.num_images):
            corpus.image(number)
        return {2: "old", 4: "new"}[corpus.num_images]


class Report(Job):
    def prepare(self, inputs, root):
        from tests.helpers import fake_results

        root.mkdir()
        models = fake_results.paper_models()[:1]
        fake_results.write_study(inputs / "results", models)
        (root / "output").write_text("old")

    def run(self, inputs, root):
        from xabl.analysis.report import ReportOptions, write_report

        options = ReportOptions(resamples=100, overwrite=True)
        write_report(sorted((inputs / "results").iterdir()), root / "output", options)

    def state(self, root):
        text = (root / "output").read_text()
        return "new" if text.rstrip().endswith("</html>") else text


class Pretrain(Job):
    """The output is a run's folder; what must not be lost is that it goes on."""

    def prepare(self, inputs, root):
        from tests.helpers import tiny_runs

        root.mkdir()
        tiny_runs.write_data(inputs)

    def run(self, inputs, root):
        from tests.helpers import tiny_runs
        from xabl.pretraining.train import pretrain
        from xabl.support.compilation_cache import use_compilation_cache

        os.environ["XDG_CACHE_HOME"] = str(inputs / "cache")
        use_compilation_cache()
        pretrain(tiny_runs.config(inputs, epochs=1), root / "output")

    def state(self, root):
        if not (root / "output" / "model").exists():
            return "old"
        from xabl.models import model_directory

        model_directory.load(root / "output" / "model")
        return "new"


JOBS = {
    "import": Import,
    "world": World,
    "convert": Convert,
    "ablate": Ablate,
    "corpus": Corpus,
    "report": Report,
    "pretrain": Pretrain,
}
