"""A study's file: what it means, and every error with its line."""

import dataclasses
import pickle
import textwrap
from pathlib import Path

import pytest

from tests.helpers.golden import forward_case
from tests.helpers.torch_writer import write_torch_file
from xabl.ablation.asked import alternatives, name_of, options_of
from xabl.ablation.options import RunOptions
from xabl.errors import UserError
from xabl.models import model_directory
from xabl.results.conditions import THRESHOLDS, Direction
from xabl.studies.contents import Contents
from xabl.studies.runs import identified, runs_of
from xabl.studies.sources import Checkpoint
from xabl.studies.study_file import Ablation, Data, read_study


@pytest.fixture
def write(tmp_path):
    """Writes a study file; gives its path."""

    def written(text):
        path = tmp_path / "study.yaml"
        if isinstance(text, str):
            text = textwrap.dedent(text).lstrip("\n").encode()
        path.write_bytes(text)
        return path

    return written


def problems(path):
    """What is said about a file, without its name."""
    with pytest.raises(UserError) as found:
        read_study(path)
    lines = str(found.value).splitlines()
    assert all(line.startswith(f"{path}:") for line in lines), lines
    return [line.removeprefix(f"{path}:") for line in lines]


def test_what_is_left_out_is_as_the_ablation_has_it(write):
    study, lines = read_study(
        write("""
        data: {entities: flickr30k}
        ablation: {directions: [vis4lang], replace: [zero], replace_seed: 2}
        models:
          - {label: UNITER, seed: 3, model: models/uniter}
          - label: BERT
            checkpoint: pytorch_model.bin
            config: bert_base
        """)
    )
    assert [model.name for model in study.models] == ["UNITER-s3", "BERT"]
    assert study.ablation.thresholds == THRESHOLDS
    assert study.ablation.directions == (Direction.VIS4LANG,)
    assert (study.ablation.replace, study.ablation.replace_seed) == (("zero",), 2)
    assert lines.where("models", 1).endswith("study.yaml:5")
    assert lines.where("models", 1, "config").endswith("study.yaml:7")


def test_every_error_is_named_with_its_line(write):
    path = write("""
        data:
          entities: flickr30k
          limt: 3
        ablation:
          thresholds: [0.5, 1.5, x]
          precision: high
          replace: [drop, blur]
        models:
          - {label: UNITER, seed: x, model: a}
          - {label: UNITER, model: y,
             config: bert_base}
          - label: a b
            model: z
          - {label: VL-BERT, model: a, checkpoint: b}
          - {label: VL-BERT, model: d, sed: 1}
        pretrainings:
          - config: synthetic_world
            seeds: [0, 1, 1]
            variants:
              - {label: A, start: B}
              - {label: a}
              - {label: C, start: D}
              - {label: D, start: C, group: 3}
        retries: -1
        """)
    assert problems(path) == [
        "3: data.limt: not a key that is known here",
        "5: ablation.thresholds[1]: should be less than 1; found 1.5",
        "5: ablation.thresholds[2]: should be a valid number; found 'x'",
        "6: ablation.precision: should be 'highest', 'default' or 'bfloat16'; found "
        "'high'",
        "7: ablation.replace: 'blur' is no way of removing (regions: average, zero, "
        "other_image, drop; words: mask, other_caption, drop)",
        "9: models[0].seed: should be a valid integer; found 'x'",
        "10: models[1]: config is that of a checkpoint",
        "12: models[2].label: give letters, digits and . _ + - only, the first a "
        "letter or a digit; found 'a b'",
        "14: models[3]: give either a model directory or a checkpoint",
        "15: models[4]: there are two runs 'VL-BERT'; give other labels or seeds",
        "15: models[4].sed: not a key that is known here",
        "18: pretrainings[0].seeds: has a value twice",
        "20: pretrainings[0].variants[0]: there is no training 'B-s0' to start from",
        "20: pretrainings[0].variants[0]: there is no training 'B-s1' to start from",
        "21: pretrainings[0].variants[1]: there are two runs 'a-s0'; give other labels "
        "or seeds",
        "21: pretrainings[0].variants[1]: there are two runs 'a-s1'; give other labels "
        "or seeds",
        "22: pretrainings[0].variants[2]: C-s0 would start from itself",
        "22: pretrainings[0].variants[2]: C-s1 would start from itself",
        "23: pretrainings[0].variants[3]: D-s0 would start from itself",
        "23: pretrainings[0].variants[3]: D-s1 would start from itself",
        "23: pretrainings[0].variants[3].group: should be text; found 3 (put it in "
        "quotes)",
        "24: retries: should be greater than or equal to 0; found -1",
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("data: {entities: a}\nmodels: [", "2: "),
        ("data: {entities: a}\n", "1: give models, pretrainings or both"),
        ("- 1\n", "1: should be keys and values"),
        ("", "1: should be keys and values (key: value); there is nothing"),
        ("data: {entities: a}\ndata: {entities: b}\n", "2: data: is given twice, fi"),
        ("models: [{label: A, model: a}]\n", "1: data: is missing"),
        (
            "data: {entities: e}\nmodels:\n- {label: A, model: a}\n"
            "- {label: a, model: b}\n",
            "4: models[1]: there are two runs 'a'; give other labels or seeds",
        ),
        ('data: {entities: "a\\0b"}\n', "1: data.entities: holds what no text or name"),
        ('data: {entities: "\\ud800"}\n', "1: data.entities: holds what no text"),
        (f"retries: {'1' * 5000}\n", "1: Exceeds the limit"),
        ("data: !!python/object:os.system {}\n", "1: could not determine a construc"),
        ("data: {}\n\tx: y", "2: while scanning for the next token: found character"),
        ("data: {}\nmodels: *none", "2: found undefined alias 'none'"),
        ('a: 1\nb: "c\n\n', "4: while scanning a quoted scalar of line 2: found unex"),
        ("data: {}\nretries: 2024-99-99", "2: month must be in 1..12"),
        ("data: {}\nretries: !!int x", "2: invalid literal for int"),
        ("data: {}\nyes: 1", "2: yes: is no key: those are text"),
        ("data: {}\n? [a]\n: 1", "2: "),
        ("data: {}\nx: a\x07", "2: has a character that YAML does not allow (0x7)"),
        (b"data: {}\nx: \xe4", "2: is not UTF-8"),
        ("[" * 1000, "1: is nested too deeply"),
    ],
)
def test_a_file_that_is_no_study(write, text, said):
    (problem,) = problems(write(text))
    assert problem.startswith(said)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("label: 01, model: m", "label: should be text; found 1 (put it in quotes)"),
        (
            "label: yes, model: m",
            "label: should be text; found True (put it in quotes)",
        ),
        ("label: a, model: 3", "model: should be a path; found 3 (put it in quotes)"),
        ("label: a, model: [m]", "model: should be a path"),
        ("label: a, model: ''", "model: is no path; found ''"),
        ('label: a, model: "m\\e"', "model: is no path; found 'm\\x1b'"),
        (
            "label: a, model: m, seed: yes",
            "seed: should be a valid integer; found True",
        ),
        ("label: a, model: m, seed: '3'", "seed: should be a valid integer; found '3'"),
    ],
)
def test_what_yaml_takes_for_something_else(write, text, said):
    (problem,) = problems(write(f"data: {{entities: e}}\nmodels:\n- {{{text}}}\n"))
    assert problem == f"3: models[0].{said}"


def grid(text):
    return (
        f"data: {{entities: e}}\npretrainings:\n- config: synthetic_world\n  {text}\n"
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "variants: [{label: A, overrides: [steps=3, seed=7]}]",
            "4: pretrainings[0].variants[0].overrides[1]: a study gives these itself: "
            "see seeds and label; found 'seed=7'",
        ),
        (
            "variants: [{label: A, overrides: {steps: 3}}]",
            "4: pretrainings[0].variants[0].overrides: should be a list, as in [a, b]",
        ),
        (
            "variants: [{label: A}]\n  seeds: [1, 1]",
            "5: pretrainings[0].seeds: has a value twice",
        ),
        ("variants: []", "4: pretrainings[0].variants: is empty"),
    ],
)
def test_a_grid_that_is_none(write, text, said):
    assert problems(write(grid(text))) == [said]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        # Once, for however many variants.
        (
            "overrides: [stepz=3]\n  variants: [{label: A}, {label: B}]",
            "3: pretrainings[0]: --set=stepz=3: no field 'stepz'",
        ),
        # That is a model, which has no training's folder.
        (
            "variants: [{label: A, start: M}]\n",
            "4: pretrainings[0].variants[0]: there is no training 'M-s0'",
        ),
    ],
)
def test_a_grid_that_cannot_be(write, tmp_path, text, said):
    path = write(grid(text) + "models: [{label: M, seed: 0, model: m}]\n")
    with pytest.raises(UserError) as found:
        runs_of(*read_study(path), tmp_path)
    assert str(found.value).startswith(f"{path}:{said}")
    assert str(found.value).count(said[3:]) == 1


def test_paths_begin_in_the_folder_of_the_file(write, tmp_path, monkeypatch):
    """Wherever the command is started, those of trainings too."""
    (tmp_path / "mine.json").write_text("{}")
    path = write("""
        data: {entities: data/flickr30k, regions: /elsewhere/regions.h5}
        models:
          - {label: A, model: ../models/a}
          - {label: B, model: ~/b}
          - {label: C, checkpoint: c.bin, config: mine.json}
          - {label: D, checkpoint: c.bin, config: bert_base}
        pretrainings:
          - config: synthetic_world
            overrides: [corpus=world/corpus, vocabulary=/v.txt, initial.bert=bert]
            variants: [{label: E}]
        """)
    monkeypatch.setenv("HOME", "/home/me")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    found = []
    for cwd, name in ((tmp_path, path.name), (elsewhere, f"../{path.name}")):
        monkeypatch.chdir(cwd)
        found.append(runs_of(*read_study(name), tmp_path / "out"))
    for runs in found:
        a, b, c, d, e = runs
        assert a.options.files.entities.resolve() == tmp_path / "data" / "flickr30k"
        assert str(a.options.files.regions) == "/elsewhere/regions.h5"
        assert a.source.directory.resolve() == tmp_path.parent / "models" / "a"
        assert str(b.source.directory) == "/home/me/b"
        assert c.source.file.resolve() == tmp_path / "c.bin"
        assert Path(c.source.configuration).resolve() == tmp_path / "mine.json"
        assert d.source.configuration == "bert_base"
        config = e.source.configuration
        assert Path(config.corpus).resolve() == tmp_path / "world" / "corpus"
        assert config.vocabulary == "/v.txt"
        assert Path(config.initial.bert).resolve() == tmp_path / "bert"
        assert config.initial.model is None


def test_a_checkpoint_without_config_is_recognised(write, tmp_path):
    case = forward_case("ctrl_vilbert_base")
    state = case.state_dict()
    (tmp_path / "mine").mkdir()
    checkpoint = write_torch_file(tmp_path / "mine" / "pytorch_model.bin", state, "zip")
    checkpoint.with_name("config.json").write_text(case.config_file.read_text())
    path = write("""
        data: {entities: e}
        models:
          - {label: A, checkpoint: mine/pytorch_model.bin}
          - {label: B, checkpoint: mine}
          - {label: C, checkpoint: vocab}
        """)
    (tmp_path / "vocab").write_text("none")
    *runs, wrong = (run.source for run in runs_of(*read_study(path), tmp_path / "out"))
    nameless = dataclasses.replace(case.config, name="")
    for source in runs:
        assert dataclasses.replace(source.config(), name="") == nameless
        directory = source.prepared(lambda done, of, what: None)
        assert model_directory.load_config(directory) == source.config()
    with pytest.raises(UserError, match=f"{tmp_path}/vocab"):
        wrong.config()


def test_what_lies_beside_a_checkpoint_determines_the_model(tmp_path):
    (tmp_path / "part.safetensors").write_bytes(b"1")
    for name in ("model.bin", "model.safetensors.index.json"):
        source = Checkpoint(
            file=tmp_path / name,
            configuration="bert_base",
            vocabulary=None,
            output=tmp_path / "model",
        )
        source.file.write_text("{}")

        def known(source=source):
            return source.determines(Contents(tmp_path.parent / "memory.json"))

        before = known()
        (tmp_path / "vocab.txt").write_text(f"[PAD] {name}")
        assert before != known() == known()
    before = known()
    (tmp_path / "table.tsv").write_text("results of the study, in the same folder")
    assert before == known()
    (tmp_path / "part.safetensors").write_bytes(b"2")
    assert before != known()


def test_a_path_that_leads_nowhere_is_named_whole(write, tmp_path, monkeypatch):
    """So that one sees in which folder it was looked for."""
    path = write("data: {entities: e}\nmodels:\n- {label: A, model: m/a}\n")
    runs = runs_of(*read_study(path), tmp_path / "out")
    (run,) = identified(runs, Contents(tmp_path / "memory.json"))
    assert run.problem == f"{path}:3: {tmp_path}/m/a: does not exist"


def test_paths_of_a_study_of_the_package_begin_where_the_process_is(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    study, _ = read_study("published")
    assert study.data.entities == tmp_path / "data" / "flickr30k_entities"


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(UserError, match="--study=.*nowhere.yaml: cannot be read"):
        read_study(tmp_path / "nowhere.yaml")


def test_keys_are_options_of_the_ablation():
    """All but what a study says of each of its models; same names, same defaults."""
    of_models = {"model", "label", "model_seed"}
    of_output = {"output", "overwrite", "resume", "images", "devices"}
    options = {name_of(field): field for field in options_of(RunOptions)}
    options["vocabulary"] = options.pop("vocab")
    keys = Data.model_fields | Ablation.model_fields
    assert keys.keys() == options.keys() - of_models - of_output
    for name, key in keys.items():
        if name != "entities":
            assert key.default == options[name].default
        kinds = alternatives(options[name].type)
        assert (type(None) in kinds) == (key.default is None)


def test_runs_can_be_handed_to_other_processes(tmp_path):
    for name in ("published", "synthetic_world"):
        runs = runs_of(*read_study(name), tmp_path)
        assert pickle.loads(pickle.dumps(runs)) == runs
