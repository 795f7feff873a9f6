"""Take the pictures in docs/ again: ``python docs/make_screenshots.py`` or, of an app that runs, with its address."""

from __future__ import annotations

import sys
import tempfile
from contextlib import nullcontext
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from playwright.sync_api import Browser, Page, sync_playwright

from scripts.browser import find
from scripts.running import AT_REST, BROWSER_OPTIONS, running_app

FOLDER = Path(__file__).parent
A, B = "cifar-resnet-38x1", "cifar-resnet-14x4"
TRAINED = "-cifar10-mini-s0"
PAIR = f"a={A}{TRAINED}&b={B}{TRAINED}"
CELL = f"{PAIR}&la=stage2_block3_add&lb=stage2_block1_add"
LAPTOP, WIDE, BELOW, PHONE = (1280, 720), (1400, 1120), (1400, 740), (390, 1800)
PICTURES = {
    "compare-first": ("light", LAPTOP, "/"),
    "compare-light": ("light", WIDE, f"/?{CELL}"),
    "compare-dark": ("dark", WIDE, f"/?{CELL}"),
    "compare-phone": ("light", PHONE, f"/?{CELL}"),
    "compare-itself": ("light", WIDE, f"/?a={A}{TRAINED}&b={A}{TRAINED}"),
    "compare-untrained": ("light", WIDE, f"/?a={A}&b={B}"),
    "measures-pixels": ("light", WIDE, f"/?control=without+what+the+pixels+explain&{CELL}"),
    "measures-all": ("light", BELOW, f"/?tab=All+measures&{CELL}"),
    "measures-estimators": ("light", BELOW, f"/?{PAIR}&tab=Estimators"),
    "measures-by-chance": ("light", BELOW, f"/?{PAIR}&tab=Best+match+along+depth"),
    "train": ("light", WIDE, "/train"),
    "atlas": ("light", WIDE, "/atlas"),
    "library": ("light", WIDE, "/library"),
}
"""File name: theme, width and height, address of the view."""
DRAWN = {
    "/train": ".js-plotly-plot .heatmaplayer image",
    "/atlas": ".cell canvas",
    f"/?{PAIR}&tab=Estimators": ".st-key-estimator-chart-sizes .js-plotly-plot",
    f"/?{PAIR}&tab=Best+match+along+depth": ".st-key-curve .js-plotly-plot",
    "/library": "[data-testid=stDataFrame]",
}
"""What is there when a page is drawn; on the Compare page it is the map."""


def take(browser: Browser, address: str, name: str) -> Path:
    theme, (width, height), view = PICTURES[name]
    context = browser.new_context(
        bypass_csp=True,
        color_scheme="dark" if theme == "dark" else "light",
        viewport={"width": width, "height": height},
        device_scale_factor=1.5,
    )
    page = context.new_page()
    page.goto(address + view)
    wait_until_drawn(page, DRAWN.get(view, ""))
    path = FOLDER / f"{name}.png"
    page.screenshot(path=path)
    context.close()
    return path


def wait_until_drawn(page: Page, selector: str) -> None:
    """The map, or what else the page is about, is there; the phone's map has its height; nothing runs any more."""
    page.wait_for_selector(selector or ".st-key-map .heatmaplayer image")
    page.wait_for_selector(AT_REST)
    page.wait_for_function("document.fonts.status === 'loaded'")
    if selector:
        return
    narrow = "document.querySelector('.st-key-map .js-plotly-plot').clientWidth < 480"
    page.wait_for_function(f"!({narrow}) || document.querySelector('.st-key-map .js-plotly-plot').clientHeight < 600")


def main() -> None:
    with tempfile.TemporaryDirectory() as store:
        app = nullcontext(sys.argv[1].rstrip("/")) if len(sys.argv) > 1 else running_app(store)
        with app as address, sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=find(), args=list(BROWSER_OPTIONS))
            for name in PICTURES:
                print(take(browser, address, name))
            browser.close()


if __name__ == "__main__":
    main()
