"""The page in a real browser: painting with the mouse, tracking, correcting, keyboard alone, kills, two tabs."""

from __future__ import annotations

import zipfile

import numpy as np
import pytest
from PIL import Image

from tests.annotation.browser import CHROMIUM, FLAGS, FRAMES, Page, Program, iou, needs_browser, true_mask

pytestmark = needs_browser

NUMBER, LAST = 4, 15
"""The object of the bundled clip that is painted, and how far it is tracked."""


@pytest.fixture(scope="module")
def browser():
    sync = pytest.importorskip("playwright.sync_api")
    with sync.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


def copy_clip(folder):
    """The first frames of the bundled clip, in a new folder."""
    folder.mkdir()
    for index in range(LAST + 1):
        (folder / f"{index:05d}.jpg").write_bytes((FRAMES / f"{index:05d}.jpg").read_bytes())
    return folder


@pytest.fixture
def clip(tmp_path):
    return copy_clip(tmp_path / "shapes")


@pytest.fixture
def program(clip):
    program = Program(clip)
    yield program
    program.close()


@pytest.fixture(scope="module")
def drawn_on(tmp_path_factory):
    """A program for the tests of how the page looks, which need some object and do not mind others."""
    program = Program(copy_clip(tmp_path_factory.mktemp("looks") / "shapes"))
    yield program
    program.close()


def open_page(browser, program):
    context = browser.new_context(viewport={"width": 1280, "height": 720}, accept_downloads=True)
    page = Page(context, program.url)
    yield page
    context.close()
    assert page.problems == []


@pytest.fixture
def page(browser, program):
    yield from open_page(browser, program)


@pytest.fixture
def shared_page(browser, drawn_on):
    yield from open_page(browser, drawn_on)


def scores(page, number=1):
    return [iou(page.labels(index) == number, true_mask(index, NUMBER)) for index in range(LAST + 1)]


@pytest.mark.slow
def test_an_object_painted_with_the_mouse_is_tracked_corrected_undone_and_exported(page, tmp_path):
    page.paint(true_mask(0, NUMBER))
    assert iou(page.labels(0) == 1, true_mask(0, NUMBER)) > 0.9
    page.track("t")
    tracked = scores(page)
    assert np.mean(tracked[1:]) > 0.8

    # a frame is spoilt and tracked on from, then corrected and tracked on from again
    page.seek(6)
    page.key("e", "]", "]", "]", "]", "]")
    rows, columns = np.nonzero(true_mask(6, NUMBER))
    middle = float(columns.mean())
    for x in range(int(columns.min()), int(middle), 18):
        page.drag((x, float(rows.min())), (x, float(rows.max())))
    page.track("t")
    spoilt = scores(page)
    assert np.mean(spoilt[7:10]) < np.mean(tracked[7:10]) - 0.05
    page.seek(6)
    page.key("b")
    page.tab.evaluate("app.toolbox.radius = 12")
    page.paint(true_mask(6, NUMBER))
    page.track("t")
    mended = scores(page)
    assert np.mean(mended[7:10]) > np.mean(spoilt[7:10]) + 0.05

    before = page.labels(9)
    page.key_done("Control+z")
    assert iou(page.labels(9) == 1, true_mask(9, NUMBER)) == pytest.approx(spoilt[9])
    page.key_done("Control+Shift+z")
    assert (page.labels(9) == before).all()

    page.key("Shift+E")
    page.tab.click("#export-start")
    page.tab.wait_for_selector("#download:not([hidden])")
    with page.tab.expect_download() as download:
        page.tab.click("#download")
    download.value.save_as(tmp_path / "export.zip")
    with zipfile.ZipFile(tmp_path / "export.zip") as archive:
        assert "overlay.mp4" in archive.namelist()
        with archive.open("masks/00009.png") as file, Image.open(file) as image:
            assert (np.array(image) == before).all()


@pytest.mark.slow
def test_after_a_reload_and_a_kill_in_the_middle_nothing_is_lost(page, program, clip):
    page.paint(true_mask(0, NUMBER))
    painted = page.labels(0)
    page.open(page.tab.url)
    assert (page.labels(0) == painted).all()
    page.key("t")
    page.tab.wait_for_function("() => app.job && app.job.done >= 3")
    program.kill()
    page.tab.wait_for_selector("#status.error")
    again = Program(clip)
    try:
        page.open(again.url)
        assert (page.labels(0) == painted).all()
        assert all((page.labels(index) == 1).any() for index in (1, 2, 3))
        page.track("t")
        assert np.mean(scores(page)[1:]) > 0.8
    finally:
        again.close()


def test_a_person_without_a_mouse_boxes_an_object_and_tracks_it(page):
    rows, columns = np.nonzero(true_mask(0, NUMBER))
    page.tab.focus("#view")
    page.key("x", "w")
    cursor(page, int(columns.min()) - 6, int(rows.min()) - 6)
    page.key("Enter")
    cursor(page, int(columns.max()) + 6, int(rows.max()) + 6)
    page.key_done("Enter")
    assert iou(page.labels(0) == 1, true_mask(0, NUMBER)) > 0.75
    page.track("t", last=2)
    assert (page.labels(2) == 1).any()
    page.key("?")
    assert page.tab.is_visible("#help-dialog")
    page.key("Escape")
    page.key("End")
    page.wait_frame(LAST)
    page.key("Home", "ArrowRight")
    page.wait_frame(1)
    page.key_done("m")
    assert not (page.labels(1) == 1).any()
    page.key_done("Control+z")
    assert (page.labels(1) == 1).any()


def cursor(page, x, y):
    """Move the keyboard's cursor to a pixel."""
    while True:
        point = page.tab.evaluate("app.viewer.cursor.point")
        dx, dy = x - point["x"], y - point["y"]
        if abs(dx) < 1 and abs(dy) < 1:
            return
        name = ("d" if dx > 0 else "a") if abs(dx) >= 1 else ("s" if dy > 0 else "w")
        page.key(
            name
            if max(abs(dx) if name in "da" else 0, abs(dy) if name in "sw" else 0) >= 8
            else f"Shift+{name}"
        )


def test_two_tabs_show_each_others_work_and_no_request_leaves_the_machine(page, browser, program):
    other = Page(page.tab.context, program.url)
    page.drag((150, 100), (200, 120))
    other.tab.wait_for_function(
        "() => app.objects.length === 1 && app.viewer.labels.ids.some((id) => id === 1)"
    )
    other.key_done("Control+z")
    page.tab.wait_for_function("() => !app.viewer.labels.ids.some((id) => id === 1)")
    address = program.url.split("/?")[0]
    assert all(url.startswith((address, "data:", "blob:")) for url in page.requests + other.requests)
    assert other.problems == []


def test_every_control_has_a_name_and_the_page_fits_without_scrolling(shared_page):
    shared_page.drag((150, 100), (200, 120))
    unnamed = shared_page.tab.evaluate(
        """[...document.querySelectorAll('button, input, select, canvas[tabindex], a[href]')].filter((control) =>
            !(control.getAttribute('aria-label') || control.textContent.trim() || control.title
              || (control.labels && control.labels.length))).map((control) => control.outerHTML)"""
    )
    assert unnamed == []
    sides = shared_page.tab.evaluate(
        "[document.documentElement.scrollWidth, document.documentElement.scrollHeight]"
    )
    assert sides == [1280, 720]


CONTRASTS = """() => {
    const parse = (text) => (text.match(/[\\d.]+/g) || []).map(Number);
    const linear = (v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    const light = ([r, g, b]) => 0.2126 * linear(r / 255) + 0.7152 * linear(g / 255) + 0.0722 * linear(b / 255);
    const back = (node) => {
        for (; node; node = node.parentElement) {
            const colour = parse(getComputedStyle(node).backgroundColor);
            if (colour.length === 3 || colour[3] === 1) return colour;
        }
        return [255, 255, 255];
    };
    return [...document.querySelectorAll('button:not(:disabled), label, h1, h2, span, p, #status')]
        .filter((node) => node.offsetParent && node.id !== 'empty' && node.textContent.trim())
        .map((node) => {
            const both = [light(parse(getComputedStyle(node).color)), light(back(node))].sort((x, y) => y - x);
            return [(both[0] + 0.05) / (both[1] + 0.05), node.textContent.trim().slice(0, 20)];
        });
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_the_contrast_of_aa(shared_page, scheme):
    shared_page.tab.emulate_media(color_scheme=scheme)
    shared_page.drag((150, 100), (200, 120))
    ratios = shared_page.tab.evaluate(CONTRASTS)
    assert len(ratios) > 20
    assert min(ratios)[0] >= 4.5, min(ratios)
