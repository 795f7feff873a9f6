"""Take a picture of every page in every state, to be looked at: ``python scripts/picture_states.py FOLDER [state …]``.

The states: nothing made yet, names as long as they may be, at work, failed. Each light and dark, at 1280 x 720,
1400 x 900, 1920 x 1080 and on a phone. The pictures are for whoever changes a page, and are not kept.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from playwright.sync_api import Browser, Page, sync_playwright

from cka_core.base import shipped
from cka_core.base.store import Store
from cka_core.jobs import submit
from cka_core.training.recipe import TrainSpec
from scripts.browser import find
from scripts.running import AT_REST, BROWSER_OPTIONS, PHONE, running_app

SIZES = ((1280, 720), (1400, 900), (1920, 1080), (390, 844))
SOURCE = "cifar-resnet-14x1-plain-s0"
LONG = "a-network-with-a-name-as-long-as-a-name-in-the-library-may-be"
PAGES = {"compare": "/", "train": "/train", "atlas": "/atlas", "learn": "/learn", "library": "/library"}
UNTRAINED = "/?a=resnet152&b=resnet101&n=1000"


def nothing(store: Store) -> dict[str, str]:
    return PAGES


def long_names(store: Store) -> dict[str, str]:
    """A bundled network under a long name, and a comparison with it."""
    store.put("networks", LONG, (shipped.NETWORKS / f"{SOURCE}.keras").read_bytes(), "keras")
    record = Store(shipped.FOLDER).read_record(f"networks/{SOURCE}.json") or {}
    store.write_record(f"networks/{LONG}.json", record | {"name": LONG})
    return {"compare": f"/?a={LONG}&b={LONG}", "library": "/library", "train": "/train"}


def at_work(store: Store) -> dict[str, str]:
    """A training and a comparison that take long."""
    spec = TrainSpec("cifar-resnet-20x1", "cifar10-mini", epochs=400, seed=3)
    submit.submit("train", spec, "ResNet 20x1, seed 3", store)
    return {"train": "/train", "compare": UNTRAINED}


def failed(store: Store) -> dict[str, str]:
    """A training whose loss is soon no number."""
    spec = TrainSpec("cifar-resnet-8x1", "cifar10-mini", epochs=2, learning_rate=1e8, schedule="constant", seed=4)
    key = submit.submit("train", spec, "ResNet 8x1, seed 4", store)
    while (job := submit.status(key, store)) is not None and job.state in (submit.QUEUED, submit.RUNNING):
        time.sleep(0.5)
    return {"train": "/train"}


STATES: dict[str, Callable[[Store], dict[str, str]]] = {
    "nothing": nothing, "long-names": long_names, "failed": failed, "at-work": at_work,
}  # fmt: skip


def settled(page: Page) -> None:
    page.wait_for_selector(AT_REST, timeout=120_000)
    page.wait_for_function("document.fonts.status === 'loaded'")
    page.wait_for_timeout(1500)  # charts and frames are drawn after the page has come to rest


def take(browser: Browser, address: str, state: str, views: dict[str, str], folder: Path) -> None:
    for theme in ("light", "dark"):
        for width, height in SIZES:
            context = browser.new_context(
                bypass_csp=True,
                color_scheme="dark" if theme == "dark" else "light",
                viewport={"width": width, "height": height},
                user_agent=PHONE if width == 390 else None,
            )
            for name, view in views.items():
                page = context.new_page()
                page.goto(address + view)
                settled(page)
                button = page.get_by_role("button", name="Compare", exact=True)
                if state == "at-work" and name == "compare" and button.count() and button.is_enabled():
                    button.click()
                    page.get_by_role("button", name="Stop").first.wait_for(timeout=120_000)
                path = folder / f"{name}-{state}-{width}-{theme}.png"
                page.screenshot(path=path)
                print(path, flush=True)
                page.close()
            context.close()


def main() -> None:
    if len(sys.argv) < 2 or set(sys.argv[2:]) - set(STATES):
        raise SystemExit(f"Usage: python scripts/picture_states.py FOLDER [{' | '.join(STATES)} …]")
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for state in sys.argv[2:] or STATES:
        with tempfile.TemporaryDirectory() as root, running_app(root) as address, sync_playwright() as playwright:
            views = STATES[state](Store(root))
            browser = playwright.chromium.launch(executable_path=find(), args=list(BROWSER_OPTIONS))
            take(browser, address, state, views, folder)
            browser.close()


if __name__ == "__main__":
    main()
