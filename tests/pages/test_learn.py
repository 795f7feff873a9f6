"""The Learn page's frame as Streamlit runs it, without a browser, and the glossary that every page may ask."""

from __future__ import annotations

import json
import re
from urllib.parse import parse_qs

import pytest
from streamlit.testing.v1 import AppTest

from cka_core.base import shipped
from cka_core.images.sets import CIFAR10_CLASSES, load_images
from cka_core.library import catalogue
from pages.parts import glossary
from pages.parts.learn import lesson
from tests.pages.test_compare import APP

TERMS = {
    "representation", "layer", "Gram matrix", "centring", "HSIC", "CKA", "minibatch", "block", "width", "seed",
    "linear probe", "first component", "unbiased",
}  # fmt: skip


def open_learn(**address: str) -> AppTest:
    page = AppTest.from_file(APP, default_timeout=60)
    page.query_params.update(address)
    page.run().switch_page("pages/learn.py").run()
    assert not page.exception, page.exception
    return page


def component(page: AppTest):
    (found,) = page.get("bidi_component")
    return found.proto


def sent(page: AppTest) -> dict:
    return json.loads(component(page).json)


@pytest.mark.parametrize("chapter", lesson.CHAPTERS)
def test_the_address_chooses_the_chapter(chapter):
    page = open_learn(chapter=chapter)
    assert component(page).component_name == f"lesson_{chapter}"
    assert sent(page)["chapter"] == chapter
    assert not page.warning


def test_without_an_address_the_first_chapter_opens_with_its_images():
    values = sent(open_learn())
    assert values["chapter"] == "1" and not values["present"]
    assert len(values["figures"]["sets"]) == 3


def test_a_chapter_that_there_is_not_is_said():
    page = open_learn(chapter="9`*")
    assert "chapter `9*`" in page.warning[0].value
    assert sent(page)["chapter"] == "1"


def test_without_the_bundled_atlas_a_chapter_says_so_and_the_others_open(monkeypatch, tmp_path):
    monkeypatch.setattr(shipped, "ATLAS", tmp_path)
    lesson.figures.cache_clear()
    page = open_learn(chapter="4")
    assert "atlas that comes with CKA Explorer; it is missing" in page.error[0].value
    assert sent(open_learn(chapter="2"))["chapter"] == "2"


def test_presenting_is_in_the_address():
    assert sent(open_learn(present="1", chapter="2"))["present"]


@pytest.mark.parametrize("chapter", lesson.CHAPTERS)
def test_a_script_is_one_module_without_imports(chapter):
    script = lesson.script(chapter)
    assert script.count("export default") == 1
    assert "import " not in script.replace("never import", "")
    assert "http" not in script.replace("http://www.w3.org/2000/svg", "")


@pytest.mark.parametrize("term", sorted(TERMS))
def test_every_term_is_explained_in_one_sentence(term):
    text = glossary.explain(term)
    assert text[0].isupper() and text.endswith(".") and ". " not in text


def test_an_unknown_term_names_those_there_are():
    with pytest.raises(ValueError, match="no 'kernel trick'.*Gram matrix"):
        glossary.explain("kernel trick")


def test_every_term_marked_in_the_lesson_is_in_the_glossary():
    told = [*map(lesson.script, lesson.CHAPTERS), *(json.dumps(lesson.figures(chapter)) for chapter in "45")]
    marked = {term.split("|")[0] for text in told for term in re.findall(r"\[\[([A-Za-z][^\]\[]*)\]\]", text)}
    assert {"Gram matrix", "CKA", "unbiased"} <= marked
    assert marked - {"term"} <= set(glossary.terms())


def ways_out() -> list[str]:
    fourth, fifth = lesson.figures("4"), lesson.figures("5")
    assert fourth is not None and fifth is not None
    found = {one["link"] for one in [*fourth["maps"], *fourth["story"]["steps"], *fifth["steps"][:-1]]}
    return sorted((found | {link for _, _, link in fifth["steps"][-1]["questions"]}) - {""})


@pytest.mark.parametrize("link", ways_out())
def test_a_way_out_opens_what_it_speaks_of(link):
    """Nothing that it asks for is refused, and nothing is left to compute."""
    path, _, query = link.partition("?")
    page = AppTest.from_file(APP, default_timeout=60)
    page.session_state["atlas_grid"] = {"drawn": True}
    if path:
        page.run().switch_page(f"pages/{path}.py")
    asked = {name: values[0] for name, values in parse_qs(query).items()}
    page.query_params.update(asked)
    page.run()
    assert not page.exception, page.exception
    told = "\n".join(one.value for one in [*page.warning, *page.info, *page.caption])
    assert "cannot be had here" not in told and "Not compared yet" not in told and "is not there" not in told
    for name, value in asked.items():  # the page took it
        if path != "learn":
            assert str(page.session_state[name]) == value
    if path == "learn":
        assert sent(page)["chapter"] == asked["chapter"]


def test_the_lessons_images_are_those_of_the_set_and_its_networks_are_bundled():
    values = lesson.figures("1")
    assert values is not None
    images = load_images("cifar10-mini", "test")
    for one in values["sets"]:
        assert len(one["images"]) == 8 and set(one["representations"]) == {layer["key"] for layer in values["layers"]}
        for image in one["images"]:
            assert CIFAR10_CLASSES[images.y[image["number"]]] == image["class"]
    info = catalogue.find(values["network"])
    assert {layer["layer"] for layer in values["layers"]} - {""} <= {layer.name for layer in info.layers}
