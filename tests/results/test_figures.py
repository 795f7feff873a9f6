"""Figures: what they say, that they can be read, and that they are what the file's ending promises."""

from __future__ import annotations

import dataclasses
import io
import subprocess
import sys

import numpy as np
import plotly.graph_objects as go
import pytest
from PIL import Image

from cka_core.networks.architectures import architecture
from cka_core.networks.layers import Layer
from cka_core.results import figures, html_page, paper, room, views
from cka_core.results.colours import NO_CKA
from cka_core.results.comparison import Comparison
from tests.synthetic import comparison


def with_a_hole() -> Comparison:
    whole = comparison()
    matrix = whole.matrix.copy()
    matrix[3] = np.nan
    reasons = [None] * len(matrix)
    reasons[3] = "no variance"
    return dataclasses.replace(whole, matrix=matrix, reasons_a=tuple(reasons))


def test_a_band_has_a_piece_for_each_run_of_places_with_an_interval():
    figure = go.Figure()
    low = np.array([0.1, 0.2, np.nan, 0.4, 0.5])
    figures.band(figure, np.arange(5), low, low + 0.1, "#b5367a")
    assert [list(piece.x) for piece in figure.data] == [[0, 1, 1, 0], [3, 4, 4, 3]]
    assert {piece.fillcolor for piece in figure.data} == {"rgba(181, 54, 122, 0.15)"}


def test_rows_are_a_columns_are_b_and_the_input_is_at_the_bottom_left():
    whole = comparison()
    figure = figures.heatmap(whole)
    trace = figure.data[0]
    assert np.allclose(trace.z, whole.matrix)
    assert trace.y[0].startswith("stem_conv · Conv2D · 32×32×16") and trace.x[0].startswith("stem_conv")
    assert len(trace.y) == len(whole.layers_a) and len(trace.x) == len(whole.layers_b)
    for axis in (figure.layout.xaxis, figure.layout.yaxis):
        assert axis.range[0] < axis.range[1]  # not reversed
        assert axis.type == "category"
    assert figure.layout.yaxis.title.text == "A: cifar-resnet-14x1"
    assert figure.layout.xaxis.title.text == "B: cifar-resnet-38x1"


def test_the_scale_is_fixed_from_0_to_1_and_named():
    trace = figures.heatmap(comparison()).data[0]
    assert (trace.zmin, trace.zmax) == (0, 1)
    assert trace.colorbar.title.text == "CKA"


@pytest.mark.parametrize(
    "colours, darkest", [("magma", "(0, 0, 4)"), ("viridis", "(68, 1, 84)"), ("cividis", "(0, 34, 78)")]
)
def test_colour_maps_are_as_published_and_no_placeholder_of_a_theme(colours, darkest):
    scale = figures.heatmap(comparison(), colours=colours).data[0].colorscale
    assert scale[0][1] == f"rgb{darkest}"
    assert not any(colour.startswith("#") for _, colour in scale)


def test_an_unknown_colour_map_lists_the_valid_ones():
    for draw in (figures.heatmap, paper.paper_figure):
        with pytest.raises(ValueError, match="jet.*magma, viridis, cividis"):
            draw(comparison(), colours="jet")


def test_ticks_name_each_stage_once_and_lines_part_them():
    figure = figures.heatmap(comparison())
    assert figure.layout.yaxis.ticktext == ("stem", "stage1", "stage2", "stage3", "head")
    upright = [line for line in figure.layout.shapes if line.x0 == line.x1]
    assert len(upright) == 4 and len(figure.layout.shapes) == 8
    starts = [
        i
        for i, (one, next_) in enumerate(zip(comparison().layers_b, comparison().layers_b[1:], strict=False))
        if one.stage != next_.stage
    ]
    assert [line.x0 for line in upright] == [i + 0.5 for i in starts]


def test_hover_names_both_layers_and_the_cka():
    template = figures.heatmap(comparison()).data[0].hovertemplate
    assert "%{y}" in template and "%{x}" in template and "%{z:.3f}" in template


def test_a_layer_without_cka_is_grey_and_says_why():
    figure = figures.heatmap(with_a_hole())
    holes = figure.data[1]
    assert np.array_equal(~np.isnan(np.array(holes.z)), np.isnan(with_a_hole().matrix))
    assert holes.y[3].endswith("no CKA: no variance")
    assert holes.colorscale[0][1] == NO_CKA
    assert len(figures.heatmap(comparison()).data) == 1


def test_names_from_files_are_escaped_everywhere():
    layers = (Layer("<img src=x>", "Dense", (4,), "<i>"), Layer("b", "Dense", (4,), "two"))
    bad = Comparison(np.eye(2), layers, layers, provenance={"network_a": {"name": "<script>"}})
    assert "<img" not in figures.heatmap(bad).to_json().replace("\\u003c", "<")
    for text in (figures.heatmap(bad).to_json(), figures.best_match_curve(bad).to_json(), html_page.to_html(bad)):
        text = text.replace("\\u003c", "<")
        assert "<img src=x>" not in text and '<script>"' not in text and "<i>" not in text


@pytest.mark.parametrize(
    "a, b, square",
    [("cifar-resnet-14x1", "cifar-resnet-14x4", True), ("cifar-resnet-14x1", "cifar-resnet-38x1", False)],
)
def test_cells_are_square_where_the_depths_are_near(a, b, square):
    figure = figures.heatmap(comparison(a, b))
    assert figures.is_square(comparison(a, b)) == square
    assert (figure.layout.yaxis.scaleanchor == "x") == square


def test_a_chosen_cell_is_marked_and_does_not_catch_the_mouse():
    figure = figures.heatmap(comparison(), selected=(2, 5))
    marks = figure.data[1:]
    assert marks and all(mark.hoverinfo == "skip" for mark in marks)
    assert marks[0].y[0].startswith("stem_relu") and marks[0].x[0] == figure.data[0].x[5]


def test_the_largest_map_stays_under_a_megabyte():
    assert len(figures.heatmap(comparison("resnet50", "resnet152")).to_json()) < 1_000_000


def test_the_curve_shows_each_layers_best_match():
    whole = comparison()
    figure = figures.best_match_curve(whole)
    assert np.allclose(figure.data[0].y, whole.matrix.max(axis=1))
    assert np.allclose(figure.data[1].y, whole.matrix.max(axis=0))
    best = whole.layers_b[int(whole.matrix[0].argmax())].name
    assert figure.data[0].text[0] == f"stem_conv → {best}".replace(">", "&gt;") or best in figure.data[0].text[0]
    assert figure.data[0].x[0] == 0 and figure.data[0].x[-1] == 1


def test_a_curve_of_nothing_but_holes_can_be_drawn():
    whole = comparison()
    assert figures.best_match_curve(dataclasses.replace(whole, matrix=np.full(whole.matrix.shape, np.nan)))


@pytest.mark.parametrize("narrow, most", [(False, 43), (True, 33)])
def test_of_a_long_name_the_axis_has_both_ends(narrow, most):
    name = "begin-" + "x" * 90 + "-end"
    shown = figures.heatmap(comparison(), titles=(name, "short"), narrow=narrow).layout
    assert shown.xaxis.title.text == "B: short"
    title = shown.yaxis.title.text
    assert len(title) <= most and title.startswith("A: begin-") and title.endswith("-end") and "…" in title


def test_the_html_works_offline():
    page = html_page.to_html(comparison(), titles=("ResNet 14x1", "ResNet 38x1"))
    assert "<title>CKA of ResNet 14x1 and ResNet 38x1</title>" in page
    assert len(page) > 3_000_000  # plotly.js is inside
    assert 'src="http' not in page


@pytest.mark.parametrize("format, start", [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_paper_figures_are_what_they_say(format, start):
    data = paper.paper_figure(comparison(), format=format)
    assert data.startswith(start)
    assert data == paper.paper_figure(comparison(), format=format)


def test_a_paper_figure_names_axes_stages_and_scale():
    text = paper.paper_figure(comparison(), format="svg", titles=("ResNet $14", "ResNet 38x1")).decode()
    for word in ("A: ResNet $14", "B: ResNet 38x1", "stage2", "CKA", "768 images"):
        assert word in text


def test_a_paper_figure_has_the_size_asked_for():
    image = Image.open(io.BytesIO(paper.paper_figure(comparison("resnet50", "resnet101"), size=(30, 15), dpi=40)))
    assert image.size == (1200, 600)


def test_the_paper_figure_is_magma_with_the_input_at_the_bottom_left():
    layers = tuple(Layer(f"l{i}", "Dense", (4,)) for i in range(2))
    corner = Comparison(np.array([[1.0, 0.0], [0.0, 0.0]]), layers, layers)
    pixels = np.asarray(Image.open(io.BytesIO(paper.paper_figure(corner, size=(4, 4), dpi=50))).convert("RGB"))
    map_only = pixels[:, : int(pixels.shape[1] * 0.8)].astype(int)  # without the colour bar
    bright = (abs(map_only - (252, 253, 191)) < 3).all(axis=2)
    dark = (abs(map_only - (0, 0, 4)) < 3).all(axis=2)
    assert bright.sum() > 1000 and dark.sum() > 2.5 * bright.sum()
    rows, columns = np.nonzero(bright)
    all_rows, all_columns = np.nonzero(bright | dark)
    assert rows.mean() > all_rows.mean() and columns.mean() < all_columns.mean()


LONG = ("a network with a long name that somebody gave it, seed 12", "another one whose name is longer still, seed 13")


@pytest.mark.parametrize("titles", [None, ("ResNet 38x1", "itself"), LONG])
@pytest.mark.parametrize(
    "a, b, size",
    [
        ("cifar-resnet-38x1", "cifar-resnet-38x1", None),
        ("cifar-resnet-8x1", "resnet152", None),
        ("resnet152", "cifar-resnet-8x1", None),
        ("cifar-resnet-38x1", "cifar-resnet-14x4", (3, 2.5)),
        ("resnet50", "resnet101", (30, 15)),
    ],
)
def test_no_text_of_a_paper_figure_leaves_it_and_no_labels_touch(a, b, size, titles):
    texts_fit(paper.drawn(comparison(a, b), size=size, dpi=100, titles=titles))


@pytest.mark.parametrize("name", ["l", "block $0.mlp.", "WWWWWWWWWWWWWWWW"])
@pytest.mark.parametrize("rows, columns", [(7, 6), (8, 12), (20, 3), (1, 300), (300, 1)])
@pytest.mark.parametrize("options", [{}, {"width": 3.3, "font_size": 8}])
def test_layers_without_stages_have_room_for_their_names(name, rows, columns, options):
    layers = [[Layer(f"{name}{i:03}", "Dense", (4,)) for i in range(n)] for n in (rows, columns)]
    random = np.random.default_rng(0).random((rows, columns))
    texts_fit(paper.drawn(Comparison(random, *map(tuple, layers)), dpi=60, titles=("mine", "theirs"), **options))


@pytest.mark.parametrize("options", [{}, {"width": 3.3, "font_size": 8}])
def test_no_empty_room_stays_above_a_map_that_long_labels_made_narrow(options):
    layers = [tuple(Layer(f"a_long_name_{i:03}", "Dense", (4,)) for i in range(n)) for n in (24, 9)]
    figure = paper.drawn(Comparison(np.zeros((24, 9)), *layers), dpi=100, titles=("A", "B"), **options)
    texts_fit(figure)
    gap = figure._suptitle.get_window_extent().y0 - figure.axes[0].get_window_extent().y1
    assert 0 < gap <= 2 * figure._suptitle.get_fontsize() / 72 * figure.dpi
    whole = paper.drawn(Comparison(np.zeros((24, 9)), *layers), dpi=100, titles=("A", "B"), size=(4, 9))
    assert whole.get_size_inches().tolist() == [4, 9]


@pytest.mark.parametrize(
    "form", ["encoder.layer.{}.self.query", "ResNetBlock_{}/Conv_0/__call__/0", "vision_tower.blocks{}.attention.key"]
)
def test_labels_of_long_names_keep_the_numbers_that_tell_layers_apart(form):
    layers = [Layer(form.format(number), "Dense", (4,)) for number in range(20)]
    _, labels = views.ticks(layers)
    assert len(set(labels)) == len(labels) == 7 and max(map(len, labels)) <= 16


def texts_fit(figure):
    figure.draw_without_rendering()
    [axes] = [axes for axes in figure.axes if axes.images]
    labels = [[one for one in axis.get_ticklabels() if one.get_visible()] for axis in (axes.xaxis, axes.yaxis)]
    texts = [figure._suptitle, axes.xaxis.label, axes.yaxis.label, *labels[0], *labels[1]]
    texts += [bar.yaxis.label for bar in axes.child_axes]
    assert all(labels) and len(texts) > 5
    for text in texts:
        box = text.get_window_extent()
        assert 0 <= box.x0 and box.x1 <= figure.bbox.width and 0 <= box.y0 and box.y1 <= figure.bbox.height, text
    for along in labels:
        boxes = [one.get_window_extent() for one in along]
        assert not any(one.overlaps(other) for one, other in zip(boxes, boxes[1:], strict=False))


def test_a_name_too_long_for_its_axis_keeps_both_ends():
    figure = paper.drawn(comparison("resnet152", "cifar-resnet-8x1"), titles=LONG)
    assert "seed 12" in figure._suptitle.get_text() and "seed 13" in figure._suptitle.get_text()
    [axes] = [axes for axes in figure.axes if axes.images]
    assert axes.xaxis.label.get_text().startswith("B: another") and "…" in axes.xaxis.label.get_text()


@pytest.mark.parametrize("ending", ["png", "svg", "pdf", "html"])
def test_figures_are_saved_by_their_ending(tmp_path, ending):
    path = paper.save_figure(comparison(), tmp_path / "new" / f"map.{ending}")
    assert path.stat().st_size > 10_000
    assert [other.name for other in path.parent.iterdir()] == [f"map.{ending}"]


def test_another_ending_is_refused_with_the_valid_ones(tmp_path):
    with pytest.raises(ValueError, match=r"\.png, \.svg, \.pdf, \.html.*map\.gif"):
        paper.save_figure(comparison(), tmp_path / "map.gif")


@pytest.mark.parametrize("titles", ["ab", ("one", "two", "three"), (1, 2)])
def test_titles_are_two_texts(titles):
    with pytest.raises(ValueError, match="Expected titles as two texts, what to call A and B, got"):
        figures.heatmap(comparison(), titles=titles)


@pytest.mark.parametrize("cell", [(500, 0), (0, 500), (-1, 0)])
def test_a_chosen_cell_is_one_of_the_map(cell):
    with pytest.raises(ValueError, match=r"Expected selected as row and column of one of \d+ x \d+ cells, got"):
        figures.heatmap(comparison(), selected=cell)


@pytest.mark.parametrize("limits", [(0.9999, 1.0), (0.99999, 1.0), (0.0, 1e-5), (0.0, 1.0)])
def test_labels_of_the_colour_bar_are_values_of_the_map(limits):
    figure = paper.drawn(comparison(), width=3.3, font_size=8, limits=limits)
    _, bar = [*figure.axes, *figure.axes[0].child_axes][-2:]
    shown = [float(label.get_text().replace("−", "-")) for label in bar.get_yticklabels()]
    assert bar.yaxis.get_offset_text().get_text() == ""
    assert len(shown) > 1 and shown[0] == pytest.approx(limits[0]) and shown[-1] == pytest.approx(limits[1])


@pytest.mark.parametrize("options", [{"width": 3.3, "font_size": 100}, {"width": 1.5, "font_size": 30}])
def test_letters_too_large_for_the_map_are_refused_in_words(options):
    with pytest.raises(ValueError, match="has no room for the map beside letters of .* Make it larger, or font_size"):
        paper.drawn(comparison("cifar-resnet-38x1", "cifar-resnet-14x4"), dpi=60, **options)


@pytest.mark.parametrize("ending", ["png", "html"])
@pytest.mark.parametrize("asked", ["no", "False", 0, None])
def test_stages_are_on_or_off(tmp_path, asked, ending):
    with pytest.raises(ValueError, match=f"Expected stages=True or stages=False, got {asked!r}."):
        paper.save_figure(comparison(), tmp_path / f"map.{ending}", stages=asked)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "options", [{"dpi": 1}, {"dpi": 10}, {"dpi": 72, "font_size": 1}, {"dpi": 2, "size": (30, 15)}]
)
def test_letters_smaller_than_a_pixel_are_refused(tmp_path, options):
    with pytest.raises(ValueError, match="letters of 0.* pixels, expected at least 1. Make dpi higher"):
        paper.save_figure(comparison(), tmp_path / "map.png", **options)


def test_drawing_needs_neither_tensorflow_nor_pyplot():
    code = (
        "import sys; from tests.synthetic import comparison; c = comparison();"
        "from cka_core.results import figures, html_page, paper;"
        "figures.heatmap(c); figures.best_match_curve(c); paper.paper_figure(c);"
        "print([m for m in ('tensorflow', 'keras', 'streamlit', 'matplotlib.pyplot') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_hover_says_what_became_of_tokens():
    plain = comparison()
    reduced = dataclasses.replace(plain, provenance=plain.provenance | {"tokens": "mean"})
    assert "mean over tokens" in figures.heatmap(reduced).data[0].hovertemplate
    assert "token" not in figures.heatmap(plain).data[0].hovertemplate


@pytest.mark.parametrize("narrow, room", [(False, 350), (True, 225)])
@pytest.mark.parametrize("network", ["cifar-resnet-38x1", "resnet50", "resnet101", "resnet152", "long names"])
def test_labels_along_the_axis_do_not_run_into_each_other_on_the_smallest_screen(network, narrow, room):
    named = [Layer(f"a layer with a long name, {i}", "Dense", (4,)) for i in range(30)]
    layers = named if network == "long names" else list(architecture(network).layers)
    none = (None,) * len(layers)
    shown = dataclasses.replace(
        comparison(), matrix=np.eye(len(layers)), layers_a=tuple(layers), layers_b=tuple(layers),
        reasons_a=none, reasons_b=none, jackknife=None,
    )  # fmt: skip
    axis = figures.heatmap(shown, narrow=narrow).layout.xaxis
    assert len(axis.ticktext) == len(axis.tickvals) >= 2
    at = [room * (value + 0.5) / len(layers) for value in axis.tickvals]
    half = [3.1 * len(text) for text in axis.ticktext]
    gaps = [b - a - h - k for a, b, h, k in zip(at, at[1:], half, half[1:], strict=False)]
    assert min(gaps) > 0, list(zip(axis.ticktext, at, strict=True))


def test_a_legend_has_a_row_for_each_name_that_is_as_long_as_the_row():
    short, long = "width 1", "A  by chance: 95 of 100 stay below"
    one = room.legend([short], 264)
    assert room.legend([short] * 3, 264) - one == room.LINE, "two beside each other, and one below"
    assert room.legend([long] * 4, 264) - one == 3 * room.LINE
    assert room.legend([long] * 4, 2000) == one


def test_letters_that_are_twice_as_wide_take_twice_the_room():
    assert room.wide("层1.ab") == 6
    kept = room.apart([0.0, 10.0, 20.0], ["编码器层", "解码器层", "输出层"], [], 2.0)
    assert kept == ([0.0, 20.0], ["编码器层", "输出层"])
    assert room.apart([0.0, 10.0, 20.0], ["abcd", "efgh", "ijk"], [], 2.0)[1] == ["abcd", "efgh", "ijk"]


def test_on_a_phone_the_best_matches_are_as_high_as_elsewhere_and_their_legend_stands_under_the_axis():
    layouts = [figures.best_match_curve(comparison(), narrow=narrow).layout for narrow in (False, True)]
    lines = [layout.height - layout.margin.t - layout.margin.b for layout in layouts]
    assert lines[0] == lines[1]
    assert -layouts[1].legend.y * lines[1] == room.UNDER_AXIS
