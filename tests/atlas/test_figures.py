"""What the atlas shows, as numbers and as figures, on an atlas whose blocks were planted."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from cka_core.atlas import figures as atlas_figures
from cka_core.atlas import grid as atlas_places
from cka_core.atlas import images as atlas_images
from cka_core.atlas import pairs as atlas_pairs
from cka_core.atlas import views as atlas_views
from cka_core.atlas.result import Atlas
from cka_core.claims import figures as claim_figures
from cka_core.claims.cards import CLAIMS
from cka_core.images import pictures
from cka_core.images.sets import CIFAR10_CLASSES
from cka_core.results.colours import COLOURS
from tests import synthetic_atlas
from tests.synthetic_atlas import INFLUENTIAL, name

DEEP, WIDE = name("38x1"), name("14x4")


@pytest.fixture(scope="module")
def atlas() -> Atlas:
    return synthetic_atlas.build()


# Small maps.


def test_a_small_map_is_the_mean_of_neighbouring_layers():
    matrix = np.kron(np.array([[1.0, 0.2], [0.2, 0.6]]), np.ones((96, 96)))
    small = atlas_places.small_map(matrix)
    assert small.shape == (48, 48)
    assert [small[0, 0], small[0, -1], small[-1, -1]] == [255, 1 + round(254 * 0.2), 1 + round(254 * 0.6)]


def test_a_map_of_few_layers_is_kept_as_it_is():
    assert atlas_places.small_map(np.eye(6)).shape == (6, 6)


def test_a_layer_without_cka_is_left_out_of_the_mean_and_grey_where_it_is_alone():
    matrix = np.full((6, 6), 0.5)
    matrix[2] = matrix[:, 2] = np.nan
    assert (atlas_places.small_map(matrix)[2] == 0).all()
    assert (atlas_places.small_map(matrix, most=2) == 1 + round(254 * 0.5)).all()


def test_negative_cka_is_as_dark_as_none():
    assert atlas_places.small_map(np.full((4, 4), -0.1)).max() == 1


def test_a_network_beside_the_study_stands_beside_the_grid(atlas):
    both = synthetic_atlas.build(beside=True)
    places, alone = atlas_places.grid(both, 0), atlas_places.grid(atlas, 0)
    assert [member.name for member in places.others] == ["cifar-resnet-14x1-cifar10-s0"]
    assert places.cells.keys() == alone.cells.keys() and places.cells[14, 1].trained_on == "cifar10-mini"


@pytest.mark.parametrize("colours", COLOURS)
def test_the_small_maps_have_the_colours_of_the_large_one(colours):
    colour = atlas_places.palette(colours)
    assert colour.shape == (256, 3)
    assert colour[1:].mean(axis=1)[0] < 60 and colour[-1].mean() > 130
    assert (np.diff(colour[1:].astype(int) @ [0.2126, 0.7152, 0.0722]) >= -1).all()  # from dark to light


# The large view.


def test_the_strips_belong_to_the_layers_shown(atlas):
    whole = atlas_views.large_view(atlas, DEEP, None)
    adds = atlas_views.large_view(atlas, DEEP, None, kinds="block outputs")
    assert len(whole.shares) == 134 and len(adds.shares) == len(adds.comparison.layers_a) == 18
    assert [accuracy for _, accuracy in adds.probes] == [accuracy for _, accuracy in whole.probes]
    assert [position for position, _ in adds.probes] == list(range(18))
    ((start, stop, text),) = whole.blocks
    assert (start, stop, text) == (44, 111, "layers 44–110, 0.95")
    ((start, stop, text),) = adds.blocks
    inside = [layer for layer in whole.comparison.layers_a[44:111] if layer.kind == "Add"]
    assert adds.comparison.layers_a[start:stop] == tuple(inside) and text == "layers 44–110, 0.95"


def test_before_the_last_epoch_there_are_no_probes(atlas):
    assert atlas_views.large_view(atlas, DEEP, 5).probes == ()


def test_a_network_kept_after_other_epochs_shows_its_last_one_until_then(atlas):
    member = atlas.member(DEEP)
    assert [atlas_views.at_or_before(member, epoch).epoch for epoch in (0, 4, 7, 99, None)] == [0, 0, 5, 10, 10]


def test_the_strips_share_the_axis_of_the_map(atlas):
    figure = atlas_figures.large_map(atlas_views.large_view(atlas, DEEP, None), "ResNet 38x1")
    strips = figure.data[1:]
    assert {trace.xaxis for trace in strips} == {None}  # the one x axis there is
    assert [trace.yaxis for trace in strips] == ["y2", "y3", "y4"]
    assert all(set(trace.x) <= set(figure.data[0].x) for trace in strips)
    assert strips[1].type == "bar" and strips[1].width == 1  # as wide as its layer's cells, the first one's too
    domains = [figure.layout[axis].domain for axis in ("yaxis", "yaxis2", "yaxis3", "yaxis4")]
    assert all(one[1] < two[0] for one, two in zip(domains, domains[1:], strict=False))


def test_blocks_are_outlined_in_the_map(atlas):
    figure = atlas_figures.large_map(atlas_views.large_view(atlas, DEEP, None), "ResNet 38x1")
    squares = {(shape.x0, shape.x1) for shape in figure.layout.shapes if shape.type == "rect"}
    assert squares == {(43.5, 110.5)}


def test_both_maps_stand_side_by_side_at_the_same_height(atlas):
    before = atlas_views.large_view(atlas, DEEP, None)
    after = atlas_views.large_view(atlas, DEEP, None, "component")
    one, other = atlas_figures.large_map(before, "a"), atlas_figures.large_map(after, "a", before=before)
    assert one.layout.yaxis.domain == other.layout.yaxis.domain and one.layout.height == other.layout.height
    assert np.nanmean(after.alike[44:111]) < np.nanmean(before.alike[44:111])


# Pairs.


def test_the_spread_over_seeds_is_the_standard_deviation_of_the_pairs(atlas):
    a, b = atlas.member(WIDE), atlas.member(DEEP)
    found = atlas_pairs.over_seeds(atlas, a, b)
    maps = [atlas.pair(one.name, other.name) for one, other in atlas_pairs.seed_pairs(atlas, a, b)]
    assert found.pairs == len(maps) == 4
    assert np.allclose(found.mean, np.mean(maps, axis=0)) and np.allclose(found.spread, np.std(maps, axis=0, ddof=1))


def test_seeds_of_one_network_are_paired_once_and_never_with_themselves(atlas):
    a, b = atlas_pairs.twins(atlas)
    assert [(one.seed, other.seed) for one, other in atlas_pairs.seed_pairs(atlas, a, b)] == [(0, 1)]
    assert atlas_pairs.over_seeds(atlas, a, b).spread is None
    assert [(one.seed, other.seed) for one, other in atlas_pairs.seed_pairs(atlas, a, a)] == [(0, 0), (1, 1)]


def test_a_spread_has_a_scale_of_its_own(atlas):
    comparison = atlas.comparison(WIDE, DEEP)
    figure = atlas_figures.spread_map(comparison, ("a", "b"))
    assert figure.data[0].zmax == pytest.approx(np.nanmax(comparison.matrix))
    assert "CKA" not in figure.data[0].hovertemplate


# Images.


def test_the_dominant_images_are_those_with_the_largest_scores_in_the_block(atlas):
    block = atlas_views.longest(atlas.member(DEEP))
    found = atlas_images.dominant_images(atlas, DEEP, block, n=10)
    assert set(found.positions[:2]) == set(INFLUENTIAL)
    assert found.together > 0.9 and found.expected == 10 / 64
    assert found.shares.sum() == pytest.approx(found.together)
    assert "A few images stand for it" in atlas_images.dominant_text(found, "here", 64)


def test_without_dominant_images_it_says_so(atlas):
    found = atlas_images.dominant_images(atlas, name("14x1"), None, n=10)
    assert "No few images" in atlas_images.dominant_text(found, "here", 64)


def test_all_images_together_make_the_whole_component(atlas):
    assert atlas_images.dominant_images(atlas, DEEP, None, n=64).together == pytest.approx(1)


# Behaviour.


def test_the_images_only_one_side_knows_are_right_in_all_its_seeds_and_wrong_in_all_others(atlas):
    groups = atlas_images.groups(atlas)
    wide, deep = (groups[key] for key in atlas_images.wide_and_deep_groups(atlas))
    found = atlas_images.examples(atlas, wide, deep)
    for side, own, other in (("a", wide, deep), ("b", deep, wide)):
        only = found.only(side)
        assert len(only) == 200
        for member, right in [(one, True) for one in own] + [(one, False) for one in other]:
            assert ((atlas.outputs(member.name).argmax(axis=1) == atlas.labels)[only] == right).all()


def test_one_seed_has_the_interval_over_images_and_several_have_their_range(atlas):
    groups = atlas_images.groups(atlas)
    one = atlas_images.class_accuracies(atlas, groups[name("14x2")], 10)
    two = atlas_images.class_accuracies(atlas, groups[DEEP], 10)
    assert (one.seeds, two.seeds) == (1, 2)
    assert (one.low < one.mean).all() and (one.mean < one.high).all()
    assert (two.low == two.high).all()  # both seeds are right on the same share


def test_a_point_of_the_scatter_knows_its_image(atlas):
    groups = atlas_images.groups(atlas)
    found = atlas_images.examples(atlas, groups[WIDE], groups[DEEP])
    figure = atlas_figures.example_scatter(found, ("wide", "deep"), atlas.labels, CIFAR10_CLASSES)
    positions = [point[0] for trace in figure.data for point in trace.customdata]
    assert sorted(positions) == list(range(1000))
    few = atlas_figures.example_scatter(found, ("wide", "deep"), atlas.labels, CIFAR10_CLASSES, most=50)
    assert sum(len(trace.x) for trace in few.data) == 50


# Claims and pictures.


@pytest.mark.parametrize("key", CLAIMS)
def test_every_claim_has_a_figure(atlas, key):
    figure, said = claim_figures.claim_figure(key, atlas)
    assert figure.data and said.endswith(".")


@pytest.mark.parametrize("key", CLAIMS)
def test_one_network_alone_has_a_figure_or_none_but_no_error(key):
    claim_figures.claim_figure(key, synthetic_atlas.build(1))


def test_an_enlarged_picture_has_no_new_colours():
    picture = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    large = pictures.enlarged(picture, 6)
    assert large.shape == (192, 192, 3) and (large[::6, ::6] == picture).all() and (large[5::6, 5::6] == picture).all()


def test_a_sheet_holds_the_pictures_row_by_row():
    flat = np.repeat(np.arange(45, dtype=np.uint8) * 5, 32 * 32 * 3).reshape(45, 32, 32, 3)
    data = base64.b64decode(pictures.sheet(flat, columns=40, quality=100).split(",")[1])
    sheet = np.asarray(Image.open(io.BytesIO(data)).convert("L"))
    assert sheet.shape == (64, 40 * 32)
    assert abs(int(sheet[48, 4 * 32 + 16]) - 44 * 5) < 4
