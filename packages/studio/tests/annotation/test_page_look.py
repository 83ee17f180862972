"""The page in a browser: layout, contrast, messages, accessibility."""

from __future__ import annotations

import re
from unittest.mock import Mock

import pytest

from aotlab import InputError
from aotlab_testing.browser import find_violations, needs_browser
from aotlab_testing.marks import slow
from studio.tests.annotation.browser import VIEWPORT, Page
from studio.tests.annotation.sessions import draw, hold, start_job, wait_for

pytestmark = needs_browser

CONTRASTS = """() => {
    const parse = (text) => (text.match(/[\\d.]+/g) || []).map(Number);
    const linear = (v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    const light = ([r, g, b]) => 0.2126 * linear(r / 255) + 0.7152 * linear(g / 255) + 0.0722 * linear(b / 255);
    const back = (node) => {
        for (; node; node = node.parentElement) {
            const color = parse(getComputedStyle(node).backgroundColor);
            if (color.length === 3 || color[3] === 1) return color;
        }
        return [255, 255, 255];
    };
    return [...document.querySelectorAll('button:not(:disabled), label, h1, h2, span, p, #status, [placeholder]')]
        .filter((node) => node.offsetParent && node.id !== 'empty' && (node.placeholder || node.textContent.trim()))
        .map((node) => {
            const style = getComputedStyle(node, node.placeholder ? '::placeholder' : null);
            const both = [light(parse(style.color)), light(back(node))].sort((x, y) => y - x);
            return [(both[0] + 0.05) / (both[1] + 0.05), node.placeholder || node.textContent.trim().slice(0, 20)];
        });
}"""

COUNT_PAINTS = """() => {
    const { prototype } = CanvasRenderingContext2D, put = prototype.putImageData;
    window.paints = 0;
    prototype.putImageData = function (...values) { paints += 1; put.apply(this, values); };
}"""
"""Counts from now on how often pixels are computed."""


def test_header_has_room_for_its_texts(idle_page):
    idle_page.tab.set_viewport_size({"width": 1280, "height": 720})
    assert all(label.bounding_box()["width"] > 10 for label in idle_page.tab.locator("header .label:visible").all())


def test_only_the_selected_object_has_tab_stops(page, two_objects):
    page.key("2")
    page.wait_selected("object 2")
    stops = "[...document.querySelectorAll('#objects :is(button, input)')].map(({ tabIndex }) => tabIndex)"
    assert page.tab.evaluate(stops) == [-1] * 4 + [0] * 4


def test_buttons_without_effect_on_a_frame_are_disabled(page, session, one_object):
    names = ("#copy-next", "#back-to-tracked")
    page.key("1")
    for name in names:
        page.tab.wait_for_selector(f"{name}:enabled")
    page.key("ArrowRight")
    for name in names:
        page.tab.wait_for_selector(f"{name}:disabled")


def test_number_of_refused_edits_is_shown(page, session, one_object, monkeypatch):
    page.key("1")
    with monkeypatch.context() as patch:
        patch.setattr(session.document.log, "append", Mock(side_effect=InputError("the disk is full")))
        for x in (5, 10, 15):
            page.drag((x, 20), (x, 25))
    page.wait_status("the disk is full (3 edits were not stored)")
    page.drag((20, 20), (20, 25))
    page.wait_no_status()
    assert page.labels(0)[22, 20] == 1


def test_hint_ends_with_the_next_action(page, one_object):
    page.drag((5, 20), (10, 20))
    page.key_done("Control+z")
    page.wait_status("brush object 1: undone")
    page.key_done("j")
    page.wait_no_status()


def test_controls_have_names_and_the_page_fits(page):
    page.drag((15, 10), (20, 12))
    unnamed = page.tab.evaluate(
        """[...document.querySelectorAll('button, input, select, canvas[tabindex], a[href]')].filter((control) =>
            !(control.getAttribute('aria-label') || control.textContent.trim() || control.title
              || (control.labels && control.labels.length))).map((control) => control.outerHTML)"""
    )
    assert unnamed == []
    sides = page.tab.evaluate("[document.documentElement.scrollWidth, document.documentElement.scrollHeight]")
    assert sides == list(VIEWPORT.values())


@pytest.mark.slow
def test_focus_is_visible_on_every_kind_of_control(page, one_object):
    page.tab.mouse.move(2, 2)
    controls = (
        "#view", "#undo", "#frame", "#load", "#fill", "#strips", "#objects [type=color]",
        "#objects [name=select1]",
    )  # fmt: skip
    for control in controls:
        page.tab.evaluate("document.activeElement.blur()")
        before = page.tab.screenshot()
        page.tab.locator(control).evaluate("control => control.focus({ focusVisible: true })")
        assert page.tab.screenshot() != before, control


def test_opacity_does_not_paint_the_masks_again(page):
    page.drag((10, 10), (20, 10))
    page.wait_shown("object 1")
    before = page.pixel(15, 10)
    page.tab.evaluate(COUNT_PAINTS)
    page.tab.fill("#opacity", "1")
    page.wait_until(lambda: page.pixel(15, 10) != before)
    full = page.pixel(15, 10)
    page.tab.uncheck("#fill")
    page.wait_until(lambda: page.pixel(15, 10) not in (before, full))
    assert page.tab.evaluate("paints") == 0


def test_shown_frame_paints_its_masks_once(page, session):
    draw(session, 0, 1)
    page.wait_shown("object 1")
    page.settle()
    page.tab.evaluate(COUNT_PAINTS)
    page.key("ArrowRight")
    page.wait_frame(1)
    page.settle()
    assert page.tab.evaluate("paints") == 2  # areas, outlines


def test_text_contrast_is_aa_in_light_and_dark(page):
    page.drag((15, 10), (20, 12))
    for scheme in ("light", "dark"):
        page.tab.emulate_media(color_scheme=scheme)
        ratios = page.tab.evaluate(CONTRASTS)
        assert len(ratios) > 20
        assert min(ratios)[0] >= 4.5, (scheme, min(ratios))


def test_help_opens_at_its_top(idle_page):
    idle_page.tab.set_viewport_size({"width": 390, "height": 844})
    idle_page.key("?")
    assert idle_page.tab.evaluate("document.getElementById('help-dialog').scrollTop") == 0
    idle_page.key("Escape")


@pytest.mark.slow
@pytest.mark.parametrize("size", [(1280, 690), (1001, 600)])
def test_range_is_in_view_with_touch(browser, served, session, size):
    draw(session, 0, 1, 2)
    viewport = dict(zip(("width", "height"), size, strict=True))
    with browser.new_context(viewport=viewport, has_touch=True, is_mobile=True) as context:
        page = Page(context, served.url)
        page.wait_objects(2)
        box, foot = (page.tab.locator(name).bounding_box() for name in ("#last", "footer"))
        assert box["y"] + box["height"] <= foot["y"]
        assert box["height"] >= 44


def test_phone_on_its_side_shows_its_objects(browser, served, session):
    draw(session, 0, 1, 2)
    with browser.new_context(viewport={"width": 844, "height": 390}, has_touch=True, is_mobile=True) as context:
        page = Page(context, served.url)
        page.wait_objects(2)
        page.tab.click("#panels")
        places = "#objects, #objects li:nth-child(2), footer"
        names, row, foot = (each.bounding_box() for each in page.tab.locator(places).all())
        assert row["y"] + row["height"] <= min(names["y"] + names["height"], foot["y"])


@pytest.mark.parametrize("size", [(844, 390), *slow(((667, 375),))], ids=str)
def test_phone_on_its_side_shows_all_tools(browser, served, size):
    viewport = dict(zip(("width", "height"), size, strict=True))
    with browser.new_context(viewport=viewport, has_touch=True, is_mobile=True) as context:
        page = Page(context, served.url)
        page.tab.click("[data-tool=brush]")
        bar, *buttons = (each.bounding_box() for each in page.tab.locator("#tools, #tools button").all())
        assert len(buttons) == 13
        assert all(box["y"] + box["height"] <= bar["y"] + bar["height"] for box in buttons)


@pytest.mark.parametrize("size", [(844, 390), *slow(((390, 844),))], ids=str)
def test_export_button_is_in_view_on_a_phone(idle_page, size):
    idle_page.tab.set_viewport_size(dict(zip(("width", "height"), size, strict=True)))
    idle_page.key("Shift+E")
    box = idle_page.tab.locator("#export-start").bounding_box()
    assert box["y"] + box["height"] < size[1]
    idle_page.key("Escape")


@pytest.mark.slow
def test_message_with_a_button_stays_until_it_is_closed(clock_context, served, session):
    draw(session, 0, 1)
    page = Page(clock_context, served.url, opened=False)
    page.tab.clock.install()
    page.open()
    page.key("Delete")
    page.tab.wait_for_selector(".toast >> text=Undo")
    page.tab.clock.run_for(600_000)
    page.tab.click(".toast [aria-label='Close this message']")
    page.tab.wait_for_selector(".toast", state="detached")


def test_error_stays_until_it_is_closed(idle_page):
    tab = idle_page.tab
    for width in (1280, 390):
        tab.set_viewport_size({"width": width, "height": 844})
        idle_page.key("g")
        tab.mouse.click(*idle_page.at(10, 10))
        tab.wait_for_selector("#status.error")
        error = tab.inner_text("#status")
        idle_page.key("x")  # its help is no reason to go
        assert tab.inner_text("#status") == error
        if width == 390:
            tab.click("#panels")
        assert tab.get_attribute("#status", "aria-live") is None  # it would make the alert polite
        tab.focus("#status.error button")
        idle_page.key("Enter")
        assert tab.inner_text("#status") == ""
        assert tab.evaluate("document.activeElement.id") == "view"
    tab.click("#panels")


@pytest.mark.slow
def test_error_disappears_with_the_next_success(page):
    before = page.at(10, 10)
    page.answer(re.compile("/frame/3"), lambda route: route.fulfill(status=404, body="x " * 400))
    page.tab.fill("#frame", "3")
    page.tab.press("#frame", "Enter")
    page.wait_status("x x x")
    assert page.at(10, 10) == before
    page.drag((10, 10), (20, 10))
    assert page.tab.inner_text("#status") == ""


@pytest.mark.slow
def test_message_is_above_the_panels_of_a_narrow_window(page, one_object):
    page.tab.set_viewport_size({"width": 390, "height": 844})
    page.tab.click("#panels")
    page.tab.click("#delete")
    page.tab.click(".toast button >> text='Undo'")
    page.wait_shown("object 1")


def test_help_of_a_tool_shows_in_a_narrow_window(idle_page):
    idle_page.tab.set_viewport_size({"width": 390, "height": 844})
    before = idle_page.at(10, 10)
    idle_page.key("e")
    idle_page.tab.wait_for_selector("#status >> text=Eraser: remove pixels")
    assert idle_page.tab.is_visible("#status")
    assert idle_page.at(10, 10) == before
    assert idle_page.tab.locator("#view").bounding_box()["width"] > 0.95 * 390
    idle_page.key("b")
    idle_page.tab.wait_for_selector("#status >> text=buttons")  # a phone has no wheel
    idle_page.key("h")
    idle_page.tab.mouse.click(*before)
    assert idle_page.tab.inner_text("#status") == ""  # it would cover the frame


@pytest.mark.parametrize("width", [620, 1001, 1281, *slow(800, 1024, 1280, 1366, 1440)])
def test_help_of_a_tool_fits(idle_page, width):
    idle_page.tab.set_viewport_size({"width": width, "height": 700})
    for tool in "xczbelpogh":
        idle_page.key(tool)
        idle_page.tab.wait_for_selector("#status:not(:empty)")
        assert idle_page.tab.evaluate(
            """() => [document.getElementById('status')].every((line) => (
                line.scrollWidth <= line.clientWidth && line.scrollHeight <= line.clientHeight))"""
        ), idle_page.tab.inner_text("#status")


def test_long_message_fits(idle_page):
    idle_page.tab.set_viewport_size({"width": 1024, "height": 768})
    status = idle_page.tab.locator("#status")
    status.evaluate("line => { line.textContent = 'word '.repeat(40); }")
    assert status.evaluate("line => line.scrollHeight <= line.clientHeight")
    status.evaluate("line => { line.textContent = ''; }")


@pytest.mark.parametrize("size", [(844, 390), (640, 345), (320, 256), (320, 844)], ids=str)
def test_small_window_shows_the_frame(idle_page, size):
    width, height = size
    idle_page.tab.set_viewport_size({"width": width, "height": height})
    assert idle_page.tab.locator("#view").bounding_box()["height"] > 0.4 * height
    assert idle_page.tab.evaluate("document.body.scrollWidth") <= width


@pytest.mark.slow
def test_forced_colors_show_the_tool_and_the_frame(idle_page):
    idle_page.tab.emulate_media(forced_colors="active")
    style = "(node, name) => getComputedStyle(node)[name]"
    assert idle_page.tab.locator("[data-tool=brush]").evaluate(style, "outlineStyle") == "solid"
    for mark in ("#frame-mark", ".legend .lost"):
        assert idle_page.tab.locator(mark).evaluate(style, "forcedColorAdjust") == "none"
    idle_page.tab.emulate_media(forced_colors="none")


@pytest.mark.parametrize("size", [(390, 844), (1440, 900), *slow(((768, 1024),), ((1024, 640),))], ids=str)
def test_image_has_most_of_the_width(idle_page, size):
    width, height = size
    idle_page.tab.set_viewport_size({"width": width, "height": height})
    assert idle_page.tab.locator("#view").bounding_box()["width"] > 0.61 * width
    if width <= 1000:
        assert not idle_page.tab.is_visible("#objects")
        idle_page.tab.click("#panels")
    assert idle_page.tab.is_visible("#add")
    assert idle_page.tab.locator("button.main:visible").all_inner_texts() == ["Track"]
    track = idle_page.tab.locator("#track").bounding_box()
    assert 0 <= track["x"] <= width - track["width"]
    assert track["y"] <= height - track["height"]
    if width <= 1000:
        idle_page.key("Escape")
        assert not idle_page.tab.is_visible("#objects")


@pytest.mark.slow
def test_page_has_no_accessibility_violation(page, one_object):
    assert find_violations(page.tab) == []
    for dialog in ("#help", "#export", "#open-history"):
        page.tab.click(dialog)
        page.tab.wait_for_selector("dialog[open]")
        assert find_violations(page.tab) == [], dialog
        page.tab.keyboard.press("Escape")
        page.tab.wait_for_selector("dialog[open]", state="detached")


@pytest.mark.slow
def test_running_tracking_can_be_stopped_in_every_window(page, session, one_object):
    for width, height in ((390, 700), (1000, 700), (1280, 560)):
        tracker = hold(session, 2)
        page.tab.set_viewport_size({"width": width, "height": height})
        before = page.at(30, 20)
        job = start_job(session, 0)
        page.tab.wait_for_selector("#progress")
        assert page.at(30, 20) == before  # a stroke continues at the same position
        stop = page.tab.locator("#stop").bounding_box()
        assert stop["y"] + stop["height"] <= height
        page.tab.click("#stop")
        tracker.release_frames()
        wait_for(job)
        page.tab.wait_for_selector("#job", state="hidden")


def test_resized_frame_keeps_its_image(idle_page):
    color = idle_page.tab.evaluate(
        """() => new Promise((end) => {
            const view = document.getElementById('view');
            let isFirst = true;
            new ResizeObserver(() => {
                const { width, height } = view;
                if (isFirst) document.querySelector('main').style.marginRight = '50px';
                else end([...view.getContext('2d').getImageData(width / 2, height / 2, 1, 1).data]);
                isFirst = false;
            }).observe(view);
        })"""
    )
    idle_page.tab.evaluate("document.querySelector('main').style.marginRight = ''")
    assert color[3] == 255


def test_transport_of_a_low_window_shows_that_there_is_more(idle_page):
    idle_page.tab.set_viewport_size({"width": 640, "height": 345})
    style = "getComputedStyle(document.querySelector('.transport')).maskImage"
    assert "gradient" in idle_page.tab.evaluate(style)
    idle_page.tab.evaluate("document.querySelector('.transport').scrollLeft = 1e6")
    bar, last = (idle_page.tab.locator(name).bounding_box() for name in (".transport", "#zoom-out"))
    assert last["x"] + last["width"] <= bar["x"] + bar["width"] - 24


def test_side_panel_holds_its_lists(page):
    page.tab.set_viewport_size({"width": 1280, "height": 800})
    page.tab.evaluate("""() => {
        document.getElementById('model-row').hidden = false;
        document.getElementById('model').append(new Option('a checkpoint whose name is longer than the panel'));
    }""")
    overflow = "(({ scrollWidth, clientWidth }) => scrollWidth - clientWidth)(document.querySelector('aside'))"
    assert page.tab.evaluate(overflow) == 0
