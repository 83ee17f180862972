"""A headless Chromium, and checks of what it shows."""

import shutil
import threading
from contextlib import suppress

import psutil
import pytest

from aotlab_testing.processes import WAIT_SECONDS

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome"))), None
)
"""A browser without windows, which loads a page in two thirds of the time, or any."""
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update",
    "--renderer-process-limit=1",  # the start of a process takes longer than the page
]  # fmt: skip
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed (apt-get install chromium)")


@pytest.fixture(scope="session")
def browser():
    sync = pytest.importorskip("playwright.sync_api")
    with sync.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        timer = threading.Timer(WAIT_SECONDS, kill_children)  # otherwise a hang of the browser's driver never ends
        timer.start()
        browser.close()
    timer.cancel()


def kill_children():
    """Kill the processes that this one started, and theirs."""
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            process.kill()


def iou(first, second):
    """Return the intersection over union of two masks."""
    return (first & second).sum() / max(1, (first | second).sum())


def find_violations(tab):
    """Run axe-core on the page; return its violations."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    return [violation["id"] for violation in axe.Axe().run(tab).response["violations"]]
