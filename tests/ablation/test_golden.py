"""Every ablation case the reference gave, through the real binaries.

A PyTorch checkpoint is converted, regions are read from every published form, and
scores.parquet holds the examples, targets, predictions and losses of the reference.
"""

import hashlib

import pytest

from tests.helpers import golden, golden_world
from tests.helpers.ablation_binaries import FORMS, STORE
from tests.helpers.golden_results import assert_golden
from tests.helpers.torch_writer import LAYOUTS
from xabl.ablation.definition import METHOD

ZIP, SEQUENCE = LAYOUTS

# Each layout and each published form once, for one of each kind of region embeddings
# and of sublayers.
QUICK = {
    ("ctrl_uniter_base", "lmdb"),
    ("ctrl_uniter_base", "hdf5"),
    ("ctrl_vl-bert_base", "tsv"),
    ("lxmert", STORE),
}
# Reference batches are of 16 whatever the size of ours.
BATCH_SIZE = {"tsv": 5, STORE: 32}
CASES = [
    pytest.param(
        name,
        form,
        (SEQUENCE, ZIP)[number % 2],
        marks=() if (name, form) in QUICK else pytest.mark.slow,
    )
    for name in golden.ABLATION_CASES
    for number, form in enumerate(FORMS)
]


@pytest.mark.parametrize("name, form, layout", CASES)
def test_binaries_give_what_the_reference_gave(workshop, tmp_path, name, form, layout):
    output = tmp_path / "results"
    done = workshop.ablate(
        # Compiled as a user compiles it: once here, always among the slow tests.
        quick=(name, form) in QUICK and form != "lmdb",
        model=workshop.model(name, layout),
        regions=workshop.regions(form),
        batch_size=BATCH_SIZE.get(form),
        output=output,
    )
    assert done.status == 0, done.err
    expected = golden.ablation_case(name).arrays()
    has_kl = "lang4vis/none/kl" in expected
    with_cls_prob = form in (*golden_world.FORMS_WITH_CLS_PROB, STORE)
    # Said once, and only where a distribution is missed.
    assert done.err.count("no MRC-KL") == int(has_kl and not with_cls_prob)
    if not with_cls_prob:
        expected = {key: v for key, v in expected.items() if not key.endswith("/kl")}
    assert_golden(output, expected)


# What is expected, by the method's number. 2 scores other examples where there is a
# limit, spread over the split, and the same numbers.
DIGESTS = {1: "47f28a03ba11787f", 2: "47f28a03ba11787f"}


def test_other_numbers_are_another_method():
    """Who changes what is expected counts `METHOD` on, and adds the new digest here.

    Otherwise studies would keep results of the method before.
    """
    digest = hashlib.sha256()
    for path in sorted(golden.GOLDEN.glob("*/**/*.npz")):
        digest.update(f"{path.relative_to(golden.GOLDEN)}\n".encode())
        digest.update(path.read_bytes())
    assert digest.hexdigest()[:16] == DIGESTS[METHOD]
