"""A result taken along: one zip with everything, a report that works offline, a figure for paper, a notebook's cell."""

from __future__ import annotations

import ast
import html
import io
import json
import re
import shlex
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import cka_core
from cka_core import Comparison, compare_activations
from cka_core.base.progress import Progress, shown, silent
from cka_core.cli import app
from cka_core.library import arrivals
from cka_core.networks.layers import Layer
from cka_core.results import figures, package, paper, passed_on, report, trust, views
from cka_core.results.differences import difference
from tests.synthetic import comparison

ROOT = Path(__file__).parent.parent.parent
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


def test_python_reads_the_zip_as_it_reads_the_file_in_it(tmp_path):
    result = comparison()
    (tmp_path / "r.zip").write_bytes(package.to_bytes(result))
    read = Comparison.load(tmp_path / "r.zip")
    assert np.array_equal(read.matrix, result.matrix) and read.provenance == result.provenance
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("pictures/a.png", b"no picture")
    with pytest.raises(ValueError, match="other.zip: Expected a saved comparison"):
        Comparison.load(tmp_path / "other.zip")
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("provenance.json", "{}")
        archive.writestr("result.npz", bytes(100 << 20))
    with pytest.raises(ValueError, match="far more than its own"):
        Comparison.load(tmp_path / "bomb.zip")


def test_a_result_is_saved_under_a_name_that_says_what_it_is(tmp_path):
    result = comparison()
    for name in ("x.csv", "x.txt", "x.zip", "x.png"):
        with pytest.raises(ValueError, match=r"ending in .npz, got .*to_csv\(\).*savefig.*--bundle"):
            result.save(tmp_path / name)
    assert not list(tmp_path.iterdir())
    for name in ("x", "x.npz", "X.NPZ", "run-0.5"):
        assert np.array_equal(Comparison.load(result.save(tmp_path / name)).matrix, result.matrix)


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


def made_in_python(**options) -> Comparison:
    rng = np.random.default_rng(0)
    a = {f"layer{i}": rng.standard_normal((40, 4, 6)) for i in range(2)}
    return compare_activations(a, {"one": a["layer0"] ** 3}, **options)


def test_the_script_of_a_result_of_arrays_has_the_call_that_computes_it_again():
    given = {"batch_size": 25, "tokens": "mean", "measure": "svcca"}
    result = made_in_python(**given)
    (call,) = [line for line in members(result)["again.py"].decode().splitlines() if line.startswith("# The numbers")]
    named = ast.parse(call.partition("cka_core.")[2]).body[0].value
    assert named.func.id == "compare_activations"
    assert {option.arg: ast.literal_eval(option.value) for option in named.keywords} == given
    own = members(made_in_python(measure=lambda a, b: np.ones((len(a), len(b)))))["again.py"].decode()
    assert "compare_activations(a, b, batch_size=40, measure=…)" in own
    less = members(difference(result, made_in_python(**given), "itself"))["again.py"].decode()
    assert "one result less another" in less and "difference(one, other" in less and "batch_size" not in less


def test_a_citation_names_the_version_and_can_be_read_by_tex():
    said = members(made_in_python(name_a="my_net 50%", name_b="a & b {x\\"))["CITATION.bib"].decode()
    assert f"CKA Explorer {cka_core.__version__}: which" in said
    assert r"my\_net 50\% × a \& b {\textbraceleft}x{\textbackslash}" in said
    assert said.count("{") == said.count("}")


def test_one_result_less_another_says_so_and_how_both_are_made(tmp_path):
    one, other = comparison(seed=0), from_files()
    found = members(difference(one, other, "untrained"))
    script = found["again.py"].decode()
    assert "made in Python, one result less another" in script and b"somebody" not in b"".join(found.values())
    commands = [line.removeprefix("#   ") for line in script.splitlines() if line.startswith("#   ")]
    assert commands[0] == f"{one.provenance['command']} --out first.npz"
    assert (
        "'grey net é.keras'" in commands[1]
        and commands[1].endswith("--out second.npz")
        and "difference(" in commands[2]
    )
    assert "cells.csv" not in found and "cells.csv" not in found["README.txt"].decode()
    compile(script, "again.py", "exec")


def from_files() -> Comparison:
    """A comparison of a file and a function in a folder of somebody's, of images that are assumed."""
    result = comparison()
    provenance = result.provenance | {
        "network_a": result.provenance["network_a"] | {"name": "grey net é", "source": "file", "weights": "abc123"},
        "command": shlex.join(
            [
                "python",
                "-m",
                "cka_core",
                "compare",
                "/home/somebody/grey net é.keras",
                "cifar-resnet-38x1",
                "--out",
                "result.npz",
            ]
        ),
    }
    return replace(result, provenance=provenance, warnings=("The order of the images is assumed.",))


def members(result: Comparison, **options) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(package.to_bytes(result, **options))) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_what_is_passed_on_names_files_without_folders_and_says_what_is_assumed():
    result = from_files()
    words = shlex.split(result.provenance["command"])
    words[5] = "/home/somebody/mine.py:build"
    provenance = result.provenance | {"command": shlex.join(words)}
    provenance["network_b"] = provenance["network_b"] | {"name": words[5]}
    found = members(replace(result, provenance=provenance))
    assert not [name for name, content in found.items() if b"somebody" in content]
    kept = Comparison.from_bytes(found["result.npz"])
    assert b"somebody" not in json.dumps(kept.provenance).encode() and kept.name_b == "mine.py:build"
    readme, about = found["README.txt"].decode(), json.loads(found["provenance.json"])
    assert "beside it must be: grey net é.keras (digest abc123); mine.py" in readme
    assert "order of the images is assumed" in readme and about["warnings"] == ["The order of the images is assumed."]
    assert "'compare', HERE / 'grey net é.keras', HERE / 'mine.py:build'" in found["again.py"].decode()
    assert "somebody" not in report.to_html(replace(result, provenance=provenance))


def test_two_files_of_one_name_are_told_apart():
    result = from_files()
    words = shlex.split(result.provenance["command"])
    for other, expected in (
        ("/elsewhere/grey net é.keras", ["a-grey net é.keras", "b-grey net é.keras"]),
        ("/home/somebody/grey net é.keras", ["grey net é.keras", "grey net é.keras"]),
        ("/elsewhere/result.npz", ["grey net é.keras", "b-result.npz"]),
    ):
        words[5] = other
        asked = replace(result, provenance=result.provenance | {"command": shlex.join(words)})
        told = passed_on.passed_on(asked, package.MEMBERS)
        assert shlex.split(told.provenance["command"])[4:6] == expected


def test_the_script_computes_it_again_beside_itself_and_says_what_is_missing(tmp_path):
    from cka_core import build_network

    given, elsewhere = tmp_path / "mine", tmp_path / "elsewhere"
    build_network("cifar-resnet-8x1", seed=5).save((given.mkdir(), given / "a net é.keras")[1])
    words = ["compare", str(given / "a net é.keras"), "cifar-resnet-8x1", "--samples", "16"]
    done = CliRunner().invoke(app, [*words, "--bundle", str(tmp_path / "b.zip"), "--range", "0.25:1"])
    assert done.exit_code == 0, done.output
    with zipfile.ZipFile(tmp_path / "b.zip") as archive:
        archive.extractall(elsewhere)
    before = (elsewhere / "result.npz").read_bytes()
    start = [sys.executable, elsewhere / "again.py"]
    how = {"capture_output": True, "text": True, "cwd": ROOT}
    answer = subprocess.run(start, **how)
    kept = Comparison.load(elsewhere / "result.npz")
    digest = kept.provenance["network_a"]["weights"]
    assert answer.returncode == 1
    assert answer.stderr.strip() == (
        f"Missing beside again.py: a net é.keras (digest {digest}). Put it there and run this again."
    )
    shutil.copy(given / "a net é.keras", elsewhere)
    answer = subprocess.run(start, **how)
    assert answer.returncode == 0, answer.stderr
    assert np.array_equal(Comparison.load(elsewhere / "again.npz").matrix, kept.matrix)
    assert (elsewhere / "again.png").exists() and (elsewhere / "result.npz").read_bytes() == before
    assert not (elsewhere / "result.png").exists() and "'--range', '0.25:1.0'" in (elsewhere / "again.py").read_text()


def test_a_command_that_is_not_ours_is_not_put_into_the_script():
    result = comparison()
    evil = replace(result, provenance=result.provenance | {"command": "python -c 'exit(7)' compare a b"})
    found = members(evil, titles=('"""\nexit(7)\n"""', "b"))
    script = ast.parse(found["again.py"])
    assert not [node for node in ast.walk(script) if isinstance(node, ast.Name) and node.id == "exit"]
    assert "exit(7)' compare" not in found["again.py"].decode()


def test_how_long_it_took_is_no_part_of_what_is_cited():
    found = members(comparison())
    for name in ("README.txt", "CITATION.bib"):
        assert "768 test images · unbiased CKA" in found[name].decode() and "0.4 s" not in found[name].decode()


def test_a_report_is_one_file_in_which_names_are_text():
    result = comparison()
    layers = (Layer(EVIL, "Dense", (3,)), *result.layers_a[1:])
    page = report.to_html(replace(result, layers_a=layers))
    assert not re.search(r"<(script|link|img)[^>]+(src|href)=", page) and EVIL not in page
    about = json.loads(re.search(r'id="about">(.*?)</script>', page)[1])
    assert about["a"][0].startswith(EVIL) and np.allclose(np.float64(about["values"]), result.matrix, atol=5e-4)


def test_a_report_says_of_a_cell_what_the_page_says():
    rng = np.random.default_rng(0)
    far = rng.standard_normal((60, 8))
    far[7] *= 100
    a = {"usual": rng.standard_normal((60, 8)), "far": far, "dead": np.ones((60, 2))}
    result = compare_activations(a, {"one": far[:, :5] ** 3})
    about = json.loads(re.search(r'id="about">(.*?)</script>', report.to_html(result))[1])
    assert about["measure"] == "CKA", "as on the card"
    assert about["values"] == [*([f"{value:.3f}"] for value in result.matrix[:2, 0]), ["none, no variance"]]
    assert about["sure"] == trust.notes(result).tolist() and about["sure"][1][0].startswith("few images decide (")
    assert "sure" not in json.loads(re.search(r'id="about">(.*?)</script>', report.to_html(comparison()))[1])


def test_what_misleads_on_the_page_is_said_wherever_a_result_goes():
    result = made_in_python()  # of 40 images, of which chance makes 0.18
    chance, few = trust.misleading(result)
    assert chance.startswith("Chance reaches 0.18. With one network's images in another order")
    assert few.startswith("Few images decide: ")
    found = members(result)
    for said in (chance, few):
        assert said in found["README.txt"].decode() and html.escape(said) in found["report.html"].decode()
        assert html.escape(said, quote=False) in result._repr_html_()
    trained = {side: comparison().provenance[side] | {"source": "trained"} for side in ("network_a", "network_b")}
    assert trust.misleading(replace(comparison(), provenance=comparison().provenance | trained)) == [], "768 images"


def test_a_table_of_a_report_has_the_name_of_its_measure():
    assert "<th>SVCCA</th>" in report.to_html(made_in_python(measure="svcca"))
    assert "<th>CKA</th>" in report.to_html(made_in_python())


def test_a_report_says_of_a_cell_and_of_the_map_what_the_page_says():
    x = np.random.default_rng(0).standard_normal((3, 40, 6))
    x[1, 0] *= 50  # one image decides
    result = compare_activations({"wide": x[0], "rare": x[1]}, {"b": x[2]})
    page = report.to_html(result)
    about = json.loads(re.search(r'id="about">(.*?)</script>', page)[1])
    assert about["sure"] == trust.notes(result).tolist()
    assert about["sure"][0][0].startswith("[") and about["sure"][1][0].startswith("few images decide")
    for fact in trust.line(result):
        assert fact.text in page
    assert "its best match in B</th><th>CKA</th>" in page
    less = report.to_html(difference(result, result, "itself"))
    assert "Best match" not in less and "CKA less itself" in less


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


@pytest.mark.parametrize(
    ("layers", "options"),
    [
        ((50, 50), {"width": 1.0}),
        ((50, 50), {"font_size": 100}),
        ((50, 50), {"size": (6, 0.3)}),
        ((50, 50), {"size": (1, 6)}),
        ((3, 50), {"size": (6.5, 0.6)}),
    ],
)
@pytest.mark.filterwarnings("ignore:constrained_layout not applied")
def test_a_figure_in_which_words_would_lie_on_the_map_is_refused(layers, options):
    result = comparison().select(range(layers[0]), range(layers[1]))
    with pytest.raises(ValueError, match="has no room for the map beside letters of .* points. Make it larger, or"):
        paper.drawn(result, **options)


@pytest.mark.parametrize("layers", [3, 50])
@pytest.mark.parametrize("options", [{}, {"width": 3.3, "font_size": 8}])
@pytest.mark.filterwarnings("ignore:constrained_layout not applied")
def test_a_strip_becomes_higher_where_its_words_would_leave_the_map_no_room(layers, options):
    titles = ("a network with a long name, trained with seed 1",) * 2
    figure = paper.drawn(comparison().select(range(layers), range(50)), titles=titles, **options)
    assert figure.get_figwidth() == options.get("width", 6.5)
    assert min(figure.axes[0].bbox.size) / figure.dpi > 0.1, "inches"


@pytest.mark.parametrize(
    "options", [{"width": 2}, {"width": 3.3, "font_size": 20}, {"font_size": 40}, {"width": 3.3, "font_size": 8}]
)
@pytest.mark.parametrize("dpi", [80, 300])
def test_names_stay_in_the_figure_where_labels_are_turned_for_want_of_room(options, dpi):
    square = comparison().select(range(20), range(20))
    figure = paper.drawn(square, titles=("cifar-resnet-14x1-plain-s0",) * 2, dpi=dpi, **options)
    figure.draw_without_rendering()
    axes = figure.axes[0]
    for text in (*figure.texts, axes.xaxis.label, axes.yaxis.label):
        box = text.get_window_extent()
        assert -1 <= box.x0 and box.x1 <= figure.bbox.width + 1 and -1 <= box.y0 and box.y1 <= figure.bbox.height + 1
        assert not axes.bbox.overlaps(box), text


def test_limits_may_be_what_numpy_computes_of_the_matrix(tmp_path):
    result = comparison()
    limits = np.quantile(result.matrix, [0.05, 0.95])
    assert paper.drawn(result, limits=limits).axes[0].images[0].get_clim() == tuple(limits)
    assert (
        f'"zmin":{limits[0]!r}'.replace("np.float64(", "").rstrip(")")
        in result.savefig(tmp_path / "a.html", limits=limits).read_text()
    )
    assert (
        f"limits=({float(limits[0])!r}, "
        in members(replace(result, provenance={**result.provenance, "command": None}), limits=limits)[
            "again.py"
        ].decode()
    )


@pytest.mark.parametrize(("zmin", "zmax"), [(1, 0), (0.5, 0.5), (float("nan"), 1), (None, -3)])
def test_a_map_on_screen_needs_a_darkest_value_below_the_lightest(zmin, zmax):
    with pytest.raises(ValueError, match="Expected a darkest colour's value below the lightest's, got zmin"):
        comparison().heatmap(zmin=zmin, zmax=zmax)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"limits": 1}, "Expected limits as .*, got 1"),
        ({"limits": (0, "x")}, r"Expected limits as .*, got \(0, 'x'\)"),
        ({"limits": (0.5, float("nan"))}, "Expected limits as"),
        ({"width": "a"}, "Expected width from 1 to 200 inches, got 'a'"),
        ({"dpi": 1e9}, "Expected dpi from 1 to 10,000 dots per inch, got 1000000000.0"),
        ({"dpi": 0}, "Expected dpi from 1 to"),
        ({"font_size": 0}, "Expected font_size from 1 to 400 points, got 0"),
        ({"font_size": -3}, "Expected font_size from 1 to 400 points, got -3"),
        ({"size": (0, 5)}, r"Expected size as width and height, above 0 to 200 inches, got \(0, 5\)"),
        ({"size": (200, 200), "dpi": 400}, "has 6,400 million pixels, at most 300 million are drawn"),
        ({"colours": "jet"}, "Unknown colour map 'jet'"),
        ({"titles": "AB"}, "Expected titles as two texts, what to call A and B, got 'AB'"),
        ({"titles": ("A",)}, "Expected titles as two texts"),
        ({"titles": ("A", 2)}, "Expected titles as two texts"),
        ({"titles": 2}, "Expected titles as two texts"),
        ({"size": (6, 5), "width": 3.3}, "Expected size or width, got both"),
    ],
)
def test_a_figure_that_cannot_be_is_refused_in_a_sentence(tmp_path, options, message):
    for ending in ("png", "svg", "html"):
        if ending == "html" and "pixels" in message:  # of paper only
            continue
        with pytest.raises(ValueError, match=message):
            comparison().savefig(tmp_path / f"a.{ending}", **options)
    assert not list(tmp_path.iterdir())


def test_an_option_that_there_is_not_is_told_of_savefig(tmp_path):
    for ending in ("png", "html"):
        with pytest.raises(TypeError, match=r"^savefig\(\) has no option 'colour'. It has: width, font_size, "):
            comparison().savefig(tmp_path / f"a.{ending}", colour="magma")


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
