"""A study's file: what it means, and every error with its line."""

import textwrap

import pytest

from xabl.errors import UserError
from xabl.results.conditions import THRESHOLDS, Direction
from xabl.studies.study_file import read_study


@pytest.fixture
def write(tmp_path):
    """Writes a study file; gives its path."""

    def written(text):
        path = tmp_path / "study.yaml"
        path.write_text(textwrap.dedent(text).lstrip("\n"))
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
          - label: UNITER
            checkpoint: y
          - label: a b
            model: z
          - {label: VL-BERT, model: a, checkpoint: b}
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
        "10: models[1]: a checkpoint needs its config, a preset or a file",
        "12: models[2].label: 'a b': give letters, digits and . _ + - only",
        "14: models[3]: give either a model directory or a checkpoint",
        "15: retries: should be greater than or equal to 0; found -1",
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("data: {entities: a}\nmodels: [", "2: "),
        ("data: {entities: a}\n", "1: give models, pretrainings or both"),
        ("- 1\n", "1: should have keys and values"),
        ("", "1: should have keys and values"),
        ("data: {entities: a}\ndata: {entities: b}\n", "2: data: is given twice, fi"),
        ("models: [{label: A, model: a}]\n", "1: data: is missing"),
        (
            "data: {entities: e}\nmodels:\n- {label: A, model: a}\n"
            "- {label: a, model: b}\n",
            "4: models[1]: there are two runs 'a'; give other labels or seeds",
        ),
        ("data: !!python/object:os.system {}\n", "1: could not determine a construc"),
    ],
)
def test_a_file_that_is_no_study(write, text, said):
    (problem,) = problems(write(text))
    assert problem.startswith(said)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(UserError, match="--study=.*nowhere.yaml: cannot be read"):
        read_study(tmp_path / "nowhere.yaml")
