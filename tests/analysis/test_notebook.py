"""The notebook runs from top to bottom on results of several models."""

from pathlib import Path

import nbclient
import nbformat

import xabl
from tests.helpers.fake_results import paper_models, write_study

NOTEBOOK = Path(__file__).parents[2] / "docs" / "analysis.ipynb"


def test_the_notebook_runs(tmp_path, monkeypatch):
    world = dict(num_images=30, phrases_per_image=1)
    write_study(tmp_path / "results", paper_models((0, 42)), **world)
    # The kernel is a process of its own: it must find this checkout.
    monkeypatch.setenv("PYTHONPATH", str(Path(xabl.__file__).parents[1]))
    monkeypatch.setenv("JUPYTER_PLATFORM_DIRS", "1")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    assert all(not cell.get("outputs") for cell in notebook.cells)
    client = nbclient.NotebookClient(
        notebook, timeout=120, resources={"metadata": {"path": str(tmp_path)}}
    )
    client.execute()
    outputs = [
        output
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if output.output_type in ("stream", "execute_result", "display_data")
    ]
    text = "".join(
        output.get("text", "") or output.data.get("text/plain", "")
        for output in outputs
    )
    assert "In all 5 models with both directions" in text
    assert "UNITER (2 seeds): Removing all image regions raises the MLM loss" in text
    assert any("image/png" in output.get("data", {}) for output in outputs)
    assert not any(output.get("name") == "stderr" for output in outputs)
