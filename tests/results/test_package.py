"""A result taken along: one zip with everything, a report that works offline, a figure for paper, a notebook's cell."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

from cka_core import Comparison
from cka_core.base.progress import Progress, shown, silent
from cka_core.cli import app
from cka_core.library import arrivals
from cka_core.networks.layers import Layer
from cka_core.results import figures, package, paper, report, views
from tests.synthetic import comparison

EVIL = "</script><img src=x onerror=alert(1)>"


def test_a_zip_has_everything_and_is_the_comparison_again_elsewhere(store, tmp_path):
    result = comparison()
    data = package.to_bytes(result)
    assert data == package.to_bytes(result)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert set(archive.namelist()) == {
            "README.txt", "report.html", "figure.png", "figure.svg", "figure.pdf", "matrix.csv", "result.npz",
            "provenance.json", "again.py", "CITATION.bib",
        }  # fmt: skip
        assert json.loads(archive.read("provenance.json")) == result.provenance
        assert result.provenance["command"] in archive.read("again.py").decode()
        assert "arXiv:2010.15327" in archive.read("CITATION.bib").decode()
    kind, key = arrivals.bring_in(io.BytesIO(data), "from-a-colleague.zip", store)
    assert kind == "comparisons"
    assert np.array_equal(Comparison.from_bytes(store.get(kind, key)).matrix, result.matrix)


def test_the_script_of_a_result_made_in_python_draws_what_is_kept(tmp_path):
    result = comparison()
    made = replace(result, provenance={key: value for key, value in result.provenance.items() if key != "command"})
    with zipfile.ZipFile(io.BytesIO(package.to_bytes(made))) as archive:
        for name in ("again.py", "result.npz"):
            (tmp_path / name).write_bytes(archive.read(name))
    answer = subprocess.run([sys.executable, tmp_path / "again.py"], capture_output=True, text=True, cwd=tmp_path,
                            env={"PYTHONPATH": ":".join(sys.path)})  # fmt: skip
    assert answer.returncode == 0, answer.stderr
    assert "Comparison(" in answer.stdout and (tmp_path / "again.png").stat().st_size > 10_000


def test_a_report_is_one_file_in_which_names_are_text():
    result = comparison()
    layers = (Layer(EVIL, "Dense", (3,)), *result.layers_a[1:])
    page = report.to_html(replace(result, layers_a=layers))
    assert not re.search(r"<(script|link|img)[^>]+(src|href)=", page) and EVIL not in page
    about = json.loads(re.search(r'id="about">(.*?)</script>', page)[1])
    assert about["a"][0].startswith(EVIL) and np.allclose(about["values"], result.matrix, atol=1e-4)


@pytest.mark.parametrize("turned", [False, True])
def test_a_very_unequal_map_is_no_strip_and_its_stages_are_named(turned):
    result = comparison().select(list(range(2, 50, 10)), list(range(50)))
    result = result.transpose() if turned else result
    axes = paper.drawn(result, titles=("a network with a name", "another one")).axes[0]
    sides = [side / 300 for side in axes.bbox.size]
    assert min(sides) > 1, "inches"
    for axis, layers in ((axes.xaxis, result.layers_b), (axes.yaxis, result.layers_a)):
        shown = [label.get_text() for label in axis.get_ticklabels() if label.get_visible() and label.get_text()]
        assert shown == [stage.name for stage in views.stages(layers)]
    assert axes.get_xlabel().startswith("B: an") and axes.get_ylabel().startswith("A: a")
    square = paper.drawn(comparison().select(list(range(30)), list(range(50)))).axes[0]
    assert square.bbox.width / square.bbox.height == pytest.approx(5 / 3, rel=0.01), "others have square cells"


def test_a_figure_is_as_wide_as_asked_with_letters_and_colours_as_asked(tmp_path):
    result = comparison()
    path = result.savefig(tmp_path / "a.svg", width=3.3, font_size=8, limits=(0.9, 1.0))
    root = ET.parse(path).getroot()
    assert root.get("width") == f"{3.3 * 72:g}pt"
    sizes = {float(size) for size in re.findall(r"font-size: ([\d.]+)px", path.read_text())}
    assert max(sizes) == 8.0
    figure = paper.drawn(result, limits=(0.9, 1.0))
    assert figure.axes[0].images[0].get_clim() == (0.9, 1.0)
    bare = paper.drawn(result, stages=False)
    assert not bare.axes[0].lines and not [t for t in bare.axes[0].get_xticklabels() if t.get_text()]
    assert '"zmin":0.9' in result.savefig(tmp_path / "a.html", limits=(0.9, 1.0), width=3.3).read_text()
    for wrong in ({"limits": (1, 0)}, {"width": -1}):
        with pytest.raises(ValueError, match="Expected"):
            result.savefig(tmp_path / "b.png", **wrong)
    assert (
        views.value_range(result) == (np.floor(result.matrix.min() * 100) / 100, 1.0)
        or views.value_range(result)[1] < 1
    )
    assert figures.heatmap(result, zmin=0.5).data[0].zmin == 0.5


def test_a_notebook_shows_the_map_and_says_what_it_rests_on():
    cell = replace(comparison(), warnings=("<b>watch out</b>",))._repr_html_()
    assert 'src="data:image/png;base64,' in cell and "768 test images" in cell and "&lt;b&gt;watch out" in cell


def test_progress_is_a_bar_nothing_or_ones_own(capsys):
    bar = shown(True)
    for done in (1, 2):
        bar(Progress("comparing", done, 2, "minibatch"))
    assert "100%" in capsys.readouterr().err
    assert shown(None) is silent and shown(print) is print


def test_one_command_writes_the_zip(tmp_path, store):
    names = "cifar-resnet-38x1-cifar10-mini-s0", "cifar-resnet-14x4-cifar10-mini-s0"
    words = ["compare", *names, "--samples", "768", "--bundle", str(tmp_path / "b.zip"), "--range", "0.5:1"]
    answer = CliRunner().invoke(app, words)  # a bundled result: nothing is computed
    assert answer.exit_code == 0, answer.output
    assert package.is_one(set(zipfile.ZipFile(tmp_path / "b.zip").namelist()))
    assert "again" not in (answer := CliRunner().invoke(app, [*words[:-1], "1:0"])).output and answer.exit_code != 0
