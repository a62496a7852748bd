"""The first level of docs/your_model.md, carried out. The second needs transformers:
`tests/peers`.
"""

import re

import numpy as np

from tests.helpers import golden_world
from tests.helpers.binaries import ROOT
from xabl import results

PAGE = (ROOT / "docs" / "your_model.md").read_text()


def codes():
    return re.findall(r"^```python\n(.*?)^```", PAGE, re.M | re.S)


def test_each_takes_less_than_sixty_lines():
    assert len(codes()) == 3
    assert max(code.count("\n") for code in codes()) < 60


def test_a_function_of_words_and_regions(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "flickr30k_entities").symlink_to(golden_world.ENTITIES)
    (tmp_path / "vocab.txt").symlink_to(golden_world.VOCABULARY)
    golden_world.write_regions(tmp_path, "hdf5").rename("regions.h5")
    exec(compile(codes()[0], "docs/your_model.md", "exec"), {})
    assert results.check("results/mine") == ()
    arrays = results.read("results/mine").arrays
    pieces = len(golden_world.VOCABULARY.read_text().splitlines())
    mlm = arrays["vis4lang", "object@0.5", "mlm"]
    np.testing.assert_allclose(np.nanmean(mlm), np.log2(pieces), rtol=1e-5)
    classes = arrays["lang4vis", "all", "mrc_xe_corrected"]
    np.testing.assert_allclose(np.nanmean(classes), np.log2(1601), rtol=1e-5)
    assert f"{np.log2(pieces):.4f}" in capsys.readouterr().out
