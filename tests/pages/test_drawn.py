"""Pictures made once for everybody: what is drawn is what was asked for."""

from __future__ import annotations

import dataclasses
from concurrent.futures import ThreadPoolExecutor

from cka_core.results import figures
from pages.parts import drawn, qr
from tests.synthetic import comparison

TITLES = ("ResNet 14x1", "ResNet 38x1")


def drawing(result, titles=TITLES, **how):
    return drawn.heatmap(result, drawn.digest(result, titles), titles=titles, **how)


def test_the_same_picture_is_made_once_however_many_ask(monkeypatch):
    made = []
    plain = figures.heatmap
    monkeypatch.setattr(figures, "heatmap", lambda *args, **how: made.append(how) or plain(*args, **how))
    result = comparison(seed=71)
    with ThreadPoolExecutor(8) as people:
        found = list(people.map(lambda _: drawing(result, colours="magma", selected=(3, 4)), range(16)))
    assert len(made) == 1 and all(one is found[0] for one in found)
    assert found[0].to_json() == plain(result, titles=TITLES, colours="magma", selected=(3, 4)).to_json()


def test_whatever_differs_is_another_picture():
    result = comparison(seed=72)
    other = dataclasses.replace(result, matrix=result.matrix * 0.5)
    renamed = dataclasses.replace(
        result, layers_a=(dataclasses.replace(result.layers_a[0], name="another"), *result.layers_a[1:])
    )
    pictures = [
        drawing(result), drawing(other), drawing(renamed), drawing(result, titles=("Mine", TITLES[1])),
        drawing(result, colours="viridis"), drawing(result, selected=(0, 0)), drawing(result, faded=True),
        drawing(result, narrow=True), drawing(result, blocks=((3, 9, "layers 4–9, 0.95"),)),
    ]  # fmt: skip
    assert len({picture.to_json() for picture in pictures}) == len(pictures)


def test_an_address_is_a_picture_with_the_border_that_cameras_need():
    from io import BytesIO

    from PIL import Image

    picture = Image.open(BytesIO(qr.png("http://192.0.2.7:8501")))
    side, module = picture.size[0], 8
    assert picture.size == (side, side) and side % module == 0
    pixels = picture.convert("L")
    assert {pixels.getpixel((x, y)) for x in range(0, side, module) for y in (0, module * 3)} == {255}
    assert {pixels.getpixel((x, module * 4)) for x in range(module * 4, module * 11)} == {0}  # a finder's upper edge
