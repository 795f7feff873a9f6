"""One's own activations, networks and images, from the drop zone to the map, in a real browser."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from playwright.sync_api import Page, expect

from tests.base.test_foreign_arrays import safetensors
from tests.browser.test_compare import MAP, settled
from tests.browser.test_library import button

REFUSED = ("truncated npy", "checkpoint", "bomb", "traversal", "link", "huge", "unequal")


def drop(page: Page, *files: Path) -> None:
    page.locator("input[type=file]").set_input_files(list(files))


def activations(folder: Path) -> tuple[Path, Path, Path]:
    """Two networks' activations of the same 40 images in two forms, and the ids of the first one's in a text file."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((40, 3, 4)).astype("f4")
    np.savez(folder / "mine.npz", conv=x, head=x.reshape(40, -1) ** 2)
    (folder / "mine.sample_ids.txt").write_text("\n".join(map(str, range(40))))
    (folder / "theirs.safetensors").write_bytes(safetensors({"mixer": x * 2, "ids_first": np.tanh(x)}))
    return folder / "mine.npz", folder / "mine.sample_ids.txt", folder / "theirs.safetensors"


def test_two_files_of_activations_are_dropped_and_compared(page: Page, app: str, tmp_path):
    page.goto(f"{app}/library")
    expect(page.get_by_role("heading", name="Library")).to_be_visible()
    drop(page, *activations(tmp_path))
    expect(page.get_by_text("mine is in the library")).to_be_visible()
    expect(page.get_by_text("40 images. Its images are known by their ids.")).to_be_visible()
    expect(page.get_by_text("40 images. The order of its images is assumed.")).to_be_visible()
    settled(page)
    button(page, "Compare them").click()
    expect(page).to_have_url(f"{app}/?a=mine&b=theirs")
    page.goto(f"{app}/?a=mine&b=theirs")
    expect(page.get_by_text("The order of the images is assumed: nothing in theirs says")).to_be_visible()
    settled(page)
    button(page, "Compare").click()
    page.wait_for_selector(MAP)
    expect(page.get_by_role("heading", name="mine × theirs")).to_be_visible()


def test_each_file_that_is_not_taken_says_why(page: Page, app: str, tmp_path):
    from tests.base.test_foreign_arrays import MALFORMED

    page.goto(f"{app}/library")
    expect(page.get_by_role("heading", name="Library")).to_be_visible()
    files = []
    for number, kind in enumerate(REFUSED):
        name, data, _ = MALFORMED[kind]
        files.append(tmp_path / f"{number}{Path(name).suffix}")
        files[-1].write_bytes(data)
    (tmp_path / "net.pt").write_bytes(b"PK")
    drop(page, *files, tmp_path / "net.pt")
    for kind in REFUSED:
        expect(page.get_by_text(MALFORMED[kind][2]).first).to_be_visible()
    expect(page.get_by_text("A PyTorch checkpoint is a pickle, which can run code")).to_be_visible()
    expect(page.get_by_text("None yet. Where a network is")).to_be_visible()


def test_a_grey_network_is_compared_on_ones_own_grey_images(page: Page, app: str, tmp_path):
    import keras

    model = keras.Sequential([keras.Input((28, 28, 1)), keras.layers.Conv2D(4, 3), keras.layers.Flatten()])
    model.save(tmp_path / "digits.keras")
    images = np.random.default_rng(0).integers(0, 256, (64, 28, 28), np.uint8)
    np.savez(tmp_path / "strokes.npz", images=images, labels=np.arange(64) % 4)
    page.goto(f"{app}/library")
    expect(page.get_by_role("heading", name="Library")).to_be_visible()
    drop(page, tmp_path / "digits.keras", tmp_path / "strokes.npz")
    expect(page.get_by_text("digits is in the library")).to_be_visible(timeout=90_000)
    expect(page.get_by_text("takes 28 × 28, grey").first).to_be_visible()
    expect(page.get_by_text("64 images of 28 × 28, grey · 4 classes")).to_be_visible()
    settled(page)
    button(page, "Compare it").click()
    expect(page.get_by_text("For ResNet").first).to_be_visible()  # the other network takes 32 × 32, colour
    expect(page.get_by_text("resized from 28 × 28 to 32 × 32").first).to_be_visible()
    page.goto(f"{app}/?a=digits&b=digits&images=strokes")
    settled(page)
    button(page, "Compare").click()
    page.wait_for_selector(MAP)
    expect(page.get_by_text("64 images of strokes").first).to_be_visible()


def test_a_folder_of_photos_is_used_once_the_page_has_said_what_it_does_to_them(page: Page, app: str, tmp_path):
    from tests.library.test_own import pictures

    (tmp_path / "pets.zip").write_bytes(pictures())
    page.goto(f"{app}/library")
    expect(page.get_by_role("heading", name="Library")).to_be_visible()
    drop(page, tmp_path / "pets.zip")
    expect(page.get_by_text("12 images of 12 × 16, colour · 2 classes")).to_be_visible()
    page.goto(f"{app}/?a=cifar-resnet-8x1&b=cifar-resnet-8x1&images=pets")
    told = page.get_by_text("the images are resized from 12 × 16 to 32 × 32 (bilinear, antialiased)")
    expect(told.first).to_be_visible()
    settled(page)
    button(page, "Compare").click()
    page.wait_for_selector(MAP)
    expect(page.get_by_text("the images were resized from 12 × 16 to 32 × 32").first).to_be_visible()


def test_ones_own_labelled_images_lead_to_the_train_page_which_says_what_is_done_to_them(
    page: Page, app: str, tmp_path
):
    images = np.random.default_rng(0).integers(0, 256, (64, 28, 28), np.uint8)
    np.savez(tmp_path / "strokes.npz", images=images, labels=np.arange(64) % 4)
    page.goto(f"{app}/library")
    expect(page.get_by_role("heading", name="Library")).to_be_visible()
    drop(page, tmp_path / "strokes.npz")
    expect(button(page, "Compare networks on them")).to_be_visible()
    settled(page)
    button(page, "Train a network on them").click()
    expect(page.get_by_text("Edited: images")).to_be_visible()
    page.get_by_text("More", exact=True).click()
    expect(
        page.get_by_text("The images of strokes are resized from 28 × 28 to 32 × 32 (bilinear, antialiased), grey to")
    ).to_be_visible()
    expect(page).to_have_url(f"{app}/train?set=strokes")
