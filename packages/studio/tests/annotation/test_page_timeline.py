"""The page in a browser: frames, playback, timeline, range to track."""

from __future__ import annotations

import re
from fractions import Fraction

import pytest

from aotlab_studio.document import editing
from aotlab_testing.browser import needs_browser
from studio.tests.annotation.browser import VIEWPORT, Page, Wire
from studio.tests.annotation.clips import LENGTH
from studio.tests.annotation.sessions import draw, draw_and_track

pytestmark = needs_browser


class HeldFrames:
    """Holds the images of some frames back until they are released."""

    def __init__(self, page: Page, *frames: int) -> None:
        self.held: list | None = []
        page.answer(re.compile(rf"/frame/({'|'.join(map(str, frames))})\?video=[0-9a-f]+$"), self.take)

    def take(self, route) -> None:
        if self.held is None:
            route.continue_()
        else:
            self.held.append(route)

    def release(self, **answer) -> None:
        held, self.held = self.held, None
        for route in held:
            route.fulfill(**answer) if answer else route.continue_()


def test_queued_keys_act_on_their_own_frames(page, session):
    for index in range(4):
        draw(session, index, 1)
    page.wait_objects(1)
    slow = HeldFrames(page, 1, 2)
    page.key("ArrowRight", "m", "ArrowRight", "ArrowRight", "m")
    assert not page.may_leave()
    assert [(page.labels(index) == 1).any() for index in range(4)] == [True] * 4
    with page.done():
        slow.release()
    page.wait_frame(3)
    page.wait_shown()
    assert [(page.labels(index) == 1).any() for index in range(4)] == [True, False, True, False]


def test_letters_after_a_queued_rename_change_no_masks(page, session):
    draw(session, 1, 1)
    page.wait_objects(1)
    page.key("1")
    slow = HeldFrames(page, 1)
    page.key("ArrowRight", "q", "F2")
    page.tab.keyboard.type("minnow")  # M: absent, N: new object
    with page.done():
        slow.release()
    page.wait_idle()
    assert page.tab.evaluate("document.activeElement.id") == "object-name"
    assert [*session.document.snapshot.objects] == [1]
    assert (page.labels(1) == 1).any()


def test_clicks_come_after_queued_keys(page, session):
    for index in (0, 1, 5):
        draw(session, index, 1, 2)
    page.wait_objects(2)
    slow = HeldFrames(page, 1)
    page.key("1", "ArrowRight", "m")
    page.tab.dblclick("#objects [name=select2]")
    page.tab.keyboard.type("koi")  # at once: its letters are no shortcuts
    page.key("Enter")
    box = page.tab.locator("#strips").bounding_box()
    page.tab.mouse.click(box["x"] + 96 + (box["width"] - 96) * 5.5 / LENGTH, box["y"] + 10)
    page.settle()
    slow.release()
    page.wait_frame(5)
    page.wait_selected("koi")
    page.wait_shown("object 1", "koi")
    assert set(page.labels(1).ravel()) == {0, 2}
    assert [item.name for item in session.document.snapshot.objects.values()] == ["object 1", "koi"]


def test_stroke_on_a_loading_frame_is_drawn_on_it(page):
    slow = HeldFrames(page, 5)
    with page.tab.expect_response("**/frame/5?near=1"):
        page.tab.fill("#frame", "5")
        page.tab.press("#frame", "Enter")
    page.stroke((10, 10), (30, 10))
    page.stroke((10, 30), (30, 30))
    with page.done():
        slow.release()
        page.wait_frame(5)
    page.wait_shown("object 1")
    page.wait_until(lambda: page.labels(5)[30, 20] == page.labels(5)[10, 20] == 1)
    assert not page.labels(0).any()


@pytest.mark.slow
def test_stroke_without_an_image_is_refused(new_page):
    new_page.open()
    new_page.answer(re.compile("/frame/0"), lambda route: route.fulfill(status=404, body="broken"))
    new_page.open()
    new_page.key("b")
    new_page.press(10, 10)
    new_page.tab.mouse.up()
    new_page.wait_status("Frame 0 has not loaded yet")
    assert not new_page.labels(0).any()
    new_page.key("n")
    new_page.wait_status("could not be loaded; nothing was changed")
    new_page.key("ArrowRight")
    new_page.wait_frame(1)
    new_page.wait_objects(0)


@pytest.mark.slow
def test_failed_frame_drops_its_queued_keys(page, session, one_object):
    slow = HeldFrames(page, 1)
    page.key("ArrowRight", "m")
    page.wait_until(lambda: slow.held)
    slow.release(status=404, body="broken")
    page.wait_status("broken")
    page.wait_frame(0)
    assert [(page.labels(index) == 1).any() for index in range(2)] == [True, False]
    assert set(session.document.snapshot.drawn_masks(1)) == set()
    page.key_done("m")
    assert not page.labels(0).any()


@pytest.mark.slow
def test_escape_drops_the_keys_before_it_only(page, session):
    for index in range(2):
        draw(session, index, 1)
    page.wait_objects(1)
    slow = HeldFrames(page, 1)
    page.key("ArrowRight", "m", "Escape", "i")
    slow.release()
    page.wait_frame(1)
    page.wait_shown()
    assert (page.labels(1) == 1).any()


@pytest.mark.slow
def test_click_at_the_ends_of_the_ruler_seeks(page, session):
    for width in (390, 1280):
        page.tab.set_viewport_size({"width": width, "height": 690})
        box = page.tab.locator("#strips").bounding_box()
        for distance in (0, 1, 6, 8):
            for x, frame in ((97 + distance, 0), (box["width"] - 1 - distance, LENGTH - 1)):
                page.seek(5)
                page.tab.mouse.click(box["x"] + x, box["y"] + 10)
                page.wait_frame(frame)
    page.tab.mouse.move(box["x"] + 97, box["y"] + 10)
    page.tab.mouse.down()
    page.tab.mouse.move(box["x"] + 98, box["y"] + 10)
    page.tab.mouse.up()
    page.wait_frame(0)
    page.key_done("n")
    assert session.document.snapshot.state.ranges == {}


@pytest.mark.slow
def test_space_plays_after_a_button_was_clicked(page, session):
    draw(session, 0, 1)
    draw(session, 1, 1)
    with page.done():
        page.tab.click("#back-to-tracked")
    page.key("ArrowRight")
    page.wait_frame(1)
    page.key("Space")
    page.wait_frame(LENGTH - 1)
    assert (page.labels(1) == 1).any()


@pytest.mark.slow
def test_click_on_a_timeline_row_selects_its_object(page, session):
    for _ in range(20):
        editing.AddObject().run(session.document)
    page.wait_objects(20)
    box = page.tab.evaluate("document.getElementById('rows').getBoundingClientRect().toJSON()")
    page.tab.evaluate("document.getElementById('rows').scrollTop = 1000")
    page.tab.mouse.click(box["x"] + box["width"] * 0.5, box["y"] + box["height"] - 8)
    page.wait_selected("object 20")
    page.wait_frame(5)
    assert page.tab.evaluate("document.documentElement.scrollHeight") == VIEWPORT["height"]


@pytest.fixture
def rows(page, session):
    """The box of the rows of 20 objects in a narrow window."""
    page.tab.set_viewport_size({"width": 390, "height": 844})
    for _ in range(20):
        editing.AddObject().run(session.document)
    page.wait_objects(20)
    return page.tab.locator("#rows").bounding_box()


def swipe(page, x, y, *steps):
    """Put a finger on a place of the window, move it by each of the steps, and lift it."""
    places = [("touchStart", [{"x": x, "y": y}]), *(("touchMove", [{"x": x + dx, "y": y + dy}]) for dx, dy in steps)]
    for kind, points in (*places, ("touchEnd", [])):
        page.devtools.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})


@pytest.mark.slow
def test_finger_scrolls_the_rows(page, rows):
    page.tab.evaluate("() => { document.getElementById('rows').onscrollend = () => { window.ended = true; }; }")
    swipe(
        page, rows["x"] + 0.5 * rows["width"], rows["y"] + rows["height"] - 10, *((0, -dy) for dy in range(5, 100, 10))
    )
    page.tab.wait_for_function("() => window.ended && document.getElementById('rows').scrollTop > 0")
    page.tab.wait_for_selector("#objects [name=select1][aria-pressed=true]", state="attached")
    page.wait_frame(0)


@pytest.mark.slow
@pytest.mark.parametrize(("step", "frame", "selects"), [(0, 5, True), (-40, 3, False)])
def test_tap_selects_a_row_and_a_drag_only_a_frame(page, rows, step, frame, selects):
    swipe(page, rows["x"] + 0.5 * rows["width"] + 40, rows["y"] + rows["height"] - 30, (step, 0))
    page.wait_frame(frame)
    state = "detached" if selects else "attached"
    page.tab.wait_for_selector("#objects [name=select1][aria-pressed=true]", state=state)


@pytest.mark.slow
def test_finger_on_a_handle_of_the_range_keeps_the_frame(page, rows):
    x, y = rows["x"] + 97, rows["y"] + 16
    swipe(page, x, y, (8, 0))
    page.tab.dispatch_event("#strips", "click", {"clientX": x + 8, "clientY": y})  # the browser's comes later
    page.key("ArrowRight")
    page.wait_frame(1)


def test_timeline_zooms_and_scrolls(idle_page):
    idle_page.seek(7)
    for _ in range(3):
        idle_page.tab.click("#zoom-in")
    idle_page.tab.wait_for_selector("#strips[aria-valuetext='Frame 7; frames 3 to 9 in view']")
    idle_page.key("End")
    idle_page.tab.wait_for_selector("#strips[aria-valuetext='Frame 11; frames 4 to 11 in view']")
    idle_page.tab.click("#zoom-out")
    idle_page.tab.wait_for_selector("#strips[aria-valuetext='Frame 11; frames 0 to 11 in view']")


def test_unchanged_frame_field_keeps_the_view_of_the_timeline(idle_page):
    for _ in range(3):
        idle_page.tab.click("#zoom-in")
    idle_page.tab.hover("#strips")
    idle_page.tab.mouse.wheel(10000, 0)
    idle_page.tab.wait_for_selector("#strips[aria-valuetext^='Frame 0; frames 4 to 11 in view']")
    idle_page.tab.fill("#frame", "")
    idle_page.tab.focus("#view")
    assert idle_page.tab.input_value("#frame") == "0"
    assert idle_page.tab.get_attribute("#strips", "aria-valuetext").startswith("Frame 0; frames 4 to 11 in view")
    idle_page.tab.click("#zoom-out")


def test_keys_of_a_slider_move_the_focused_timeline(idle_page):
    before = idle_page.place()
    idle_page.tab.focus("#strips")
    idle_page.key("ArrowUp")
    idle_page.wait_frame(1)
    idle_page.key("ArrowDown")
    idle_page.wait_frame(0)
    idle_page.key("PageUp")
    idle_page.wait_frame(10)
    idle_page.key("PageDown")
    idle_page.wait_frame(0)
    idle_page.key("b")
    for _ in range(2):  # the first one begins a stroke on the frame, the second one ends it
        idle_page.key("Enter")
    idle_page.settle()
    assert not idle_page.tab.evaluate("document.querySelector('#objects li')")
    assert idle_page.place() == before


def test_stroke_during_playback_stops_it_and_is_kept(new_page, session):
    session.document.frames.source.rate = Fraction(1, 100)  # frame 1 shows until the test sees it
    new_page.open()
    new_page.key("b", "Space")
    new_page.wait_frame(1)
    new_page.press(30, 20)
    new_page.tab.wait_for_selector("#play[aria-label=Play]")
    frame = int(new_page.tab.get_attribute("#strips", "aria-valuenow"))
    with new_page.done():
        new_page.lift(40, 20)
    assert new_page.labels(frame)[20, 35] == 1


@pytest.mark.slow
def test_enter_in_the_frame_field_returns_to_the_frame(page):
    page.tab.fill("#frame", "3")
    for _ in range(2):  # the second time without a change
        page.tab.press("#frame", "Enter")
        page.wait_frame(3)
        assert page.tab.evaluate("document.activeElement.id") == "view"
    page.drag((10, 10), (20, 10))
    assert page.labels(3)[10, 15] == 1


@pytest.mark.slow
def test_impossible_range_of_tracking_is_refused(new_page):
    wire = Wire(new_page)
    new_page.tab.fill("#last", "8")
    for first in ("5.5", "-3", "99", "9"):
        new_page.tab.fill("#first", first)
        new_page.tab.click("#track")
        new_page.wait_status("must be frames from 0 to 11")
    new_page.key_done("n")
    assert wire.list_sent("track") == []


@pytest.mark.slow
def test_selected_object_is_in_view(page, session):
    for _ in range(15):
        editing.AddObject().run(session.document)
    page.wait_objects(15)
    visible = """() => {
        const [list, rows] = ['objects', 'rows'].map((id) => document.getElementById(id));
        const [outer, line] = [list, list.querySelector('.selected')].map((node) => node.getBoundingClientRect());
        const index = [...list.children].findIndex((node) => node.className === 'selected');
        const y = 22 + 14 * index;
        return outer.top <= line.top + 1 && line.bottom <= outer.bottom + 1
            && rows.scrollTop <= y && y + 14 <= rows.scrollTop + rows.clientHeight;
    }"""
    for key in (*["ArrowDown"] * 15, *["ArrowUp"] * 15):
        page.key(key)
    page.wait_selected("object 1")
    page.wait_until(lambda: page.tab.evaluate(visible))
    page.key_done("n")
    page.wait_selected("object 16")
    page.wait_until(lambda: page.tab.evaluate(visible))
    page.tab.set_viewport_size({"width": 390, "height": 844})
    page.key("1")
    page.tab.click("#panels")
    page.wait_until(lambda: page.tab.evaluate(visible))


def test_evicted_images_can_still_be_drawn(idle_page):
    found = idle_page.tab.evaluate(
        """import('/page/frames.js').then(async ({ FrameCache }) => {
            const cache = new FrameCache();
            const images = await Promise.all([...Array(10).keys()].map((frame) => cache.getImage(frame)));
            await new Promise((resolve) => { setTimeout(resolve); });
            cache.evict({ width: 1e5, height: 1e5 });
            await new Promise((resolve) => { setTimeout(resolve); });
            return [cache.images.size, images[0].width];
        })"""
    )
    assert found == [8, 60]


def test_right_button_on_the_timeline_is_ignored(idle_page):
    box = idle_page.tab.locator("#strips").bounding_box()
    idle_page.tab.mouse.click(box["x"] + box["width"] - 20, box["y"] + 5, button="right")
    idle_page.settle()
    idle_page.wait_frame(0)
    assert idle_page.tab.get_attribute("#previous", "aria-keyshortcuts") == "ArrowLeft"


@pytest.mark.slow
def test_playback_loads_masks_ahead(page):
    held, released = [], []
    page.answer(re.compile(r"/labels/[0-9]+\?"), lambda route: route.continue_() if released else held.append(route))
    page.key("Space")
    page.wait_until(lambda: len(held) > 1)
    released.append(True)
    for route in held:
        route.continue_()
    page.wait_frame(LENGTH - 1)
    page.tab.wait_for_selector("#play[aria-label=Play]")


@pytest.mark.slow
def test_playback_stops_at_a_broken_frame(page):
    page.answer(re.compile("/frame/3"), lambda route: route.fulfill(status=404, body="broken"))
    page.key("Space")
    page.wait_status("broken")
    page.tab.wait_for_selector("#play[aria-label=Play]")
    page.wait_frame(2)


def test_seek_stops_playback(idle_page):
    labels = idle_page.tab.evaluate("""() => {
        const button = document.getElementById('play');
        button.click();
        const { ariaLabel, title } = button;
        const field = document.getElementById('frame');
        field.value = '7';
        field.dispatchEvent(new Event('change'));
        return [ariaLabel, title, button.ariaLabel, button.title];
    }""")
    assert labels == ["Stop", "Stop (Space)", "Play", "Play (Space)"]
    idle_page.wait_frame(7)


@pytest.mark.slow
def test_second_play_keeps_the_rate(clock_context, served):
    page = Page(clock_context, served.url, opened=False)
    served.session.document.frames.source.rate = Fraction(1, 20)
    page.tab.clock.install()
    page.open()
    page.requests.clear()
    page.key("Space")
    page.wait_frame(1)
    page.key("Space", "Space")
    page.wait_frame(2)
    page.tab.clock.run_for(25_000)
    page.wait_frame(3)
    page.settle()
    assert page.tab.get_attribute("#strips", "aria-valuenow") == "3"


@pytest.mark.slow
def test_undo_stops_playback(page, session):
    session.document.frames.source.rate = Fraction(1, 100)  # frame 1 shows until the test sees it
    page.open()
    draw(session, 0, 1)
    page.wait_objects(1)
    page.key("Space")
    page.wait_frame(1)
    page.key("Control+z")
    page.tab.wait_for_selector("#play[aria-label=Play]")
    page.wait_frame(0)
    page.wait_shown()


@pytest.mark.slow
def test_sixty_seconds_are_a_minute(page, session):
    session.document.frames.source.rate = Fraction(1000, 59996)
    page.open()
    page.seek(1)
    assert "1:00.00" in page.tab.inner_text("#time")


def test_task_runs_again_after_a_failure(idle_page):
    runs = idle_page.tab.evaluate("""async () => {
        const { CoalescedTask } = await import('./page/dom.js');
        let runs = 0;
        const task = new CoalescedTask(async () => {
            runs += 1;
            if (runs === 1) throw new Error('broken');
        });
        await task.run().catch(() => {});
        await task.run();
        return runs;
    }""")
    assert runs == 2


@pytest.mark.slow
def test_shown_frame_is_usable_during_a_hanging_request(page):
    held = page.hold_requests(r"/labels/5\?")
    page.tab.fill("#frame", "5")
    page.tab.press("#frame", "Enter")
    page.wait_until(lambda: held)
    page.key("ArrowRight")
    page.wait_frame(6)
    page.key("ArrowLeft")
    page.wait_until(lambda: held[1:])
    page.tab.fill("#frame", "6")
    page.tab.press("#frame", "Enter")
    page.drag((10, 10), (20, 10))
    assert page.labels(6)[10, 15] == 1


def test_failed_request_is_repeated_and_named(page):
    failed = []

    def fail(route):
        failed.append(route)
        if len(failed) == 1:
            route.abort()
        else:
            route.continue_()

    page.answer(re.compile(r"/frame/5\?video=[0-9a-f]+$"), fail)
    page.answer(re.compile(r"/frame/7\?video=[0-9a-f]+$"), lambda route: route.abort())
    page.seek(5)
    assert len(failed) == 2
    page.tab.fill("#frame", "7")
    page.tab.press("#frame", "Enter")
    page.wait_status("did not answer a request")
    page.wait_frame(5)
    assert "Reconnecting" not in page.tab.inner_text("#status")


def test_confidence_is_a_curve_in_the_timeline(new_page, session):
    draw(session, 0, 1)
    wire = Wire(new_page)
    wire.change = lambda result: result["timeline"].update(marks={"1": "G" + "9" * 5 + "4" * (LENGTH - 6)})
    new_page.open()
    new_page.key("1")
    new_page.seek(8)
    new_page.tab.wait_for_selector("#strips[aria-valuetext*='object 1 tracked, confidence 0.82']")
    alphas = new_page.tab.evaluate(
        """count => [[2, 24], [2, 31], [8, 24], [8, 31]].map(([frame, y]) => {
            const canvas = document.getElementById('strips');
            const x = Math.round(96 + (canvas.clientWidth - 96) * (frame + 0.5) / count);
            return canvas.getContext('2d').getImageData(x, y, 1, 1).data[3];
        })""",
        LENGTH,
    )
    assert [alpha == 255 for alpha in alphas] == [True, True, False, True]


@pytest.mark.slow
def test_single_marks_show_in_a_long_video(new_page, session):
    draw(session, 0, 1)
    count, lost, checked, outdated = 20_000, 5000, 8000, 12_000
    marks = "9" * lost + "l" + "9" * (count - lost - 1)

    def change(result):
        timeline = {**result["timeline"], "marks": {"1": marks}}
        result.update(
            frames=count, editable_range=[0, count - 1], timeline=timeline, checked=[checked],
            outdated={"1": [[outdated, outdated]]},
        )  # fmt: skip

    wire = Wire(new_page)
    wire.change = change
    new_page.open()
    new_page.settle()
    colors = new_page.tab.evaluate(
        """([count, ...places]) => places.map(([frame, y]) => {
            const canvas = document.getElementById('strips');
            const x = Math.round(96 + (canvas.clientWidth - 96) * frame / count);
            const { data } = canvas.getContext('2d').getImageData(x - 1, y, 3, 12);
            return [...data].flatMap((_, at) => (at % 4 ? [] : [[...data.slice(at, at + 4)].join()]));
        })""",
        [count, (lost, 23), (checked, 19), (outdated, 24)],
    )
    expected = ("224,36,36,255", "29,138,75,255", "176,125,0,255")  # of the style sheet
    assert [color in found for found, color in zip(colors, expected, strict=True)] == [True] * 3


@pytest.mark.slow
def test_ruler_stays_above_the_rows_that_scroll(page, session):
    for _ in range(14):
        editing.AddObject().run(session.document)
    page.wait_objects(14)
    page.tab.evaluate("document.getElementById('rows').scrollTop = 1000")
    page.settle()
    rows, ruler = (page.tab.locator(name).bounding_box() for name in ("#rows", "#strips"))
    assert 0 <= ruler["y"] - rows["y"] <= 1
    row, ticks, last = page.tab.evaluate(
        """() => [[0, 0, 20, 12], [97, 0, 300, 12], [0, 112, 12, 12]].map((area) => (
            document.getElementById('strips').getContext('2d').getImageData(...area).data.some((value) => value)))"""
    )
    assert (row, ticks, last) == (False, True, True)
    page.seek(3)
    page.tab.mouse.click(ruler["x"] + ruler["width"] - 2, ruler["y"] + 5)  # a handle, not the row under it
    page.wait_frame(LENGTH - 1)
    assert page.tab.get_attribute("#objects [name=select1]", "aria-pressed") == "true"


def test_confidence_is_named_under_the_pointer(page, session):
    draw_and_track(session, 1)
    page.wait_objects(1)
    page.wait_until(lambda: page.tab.locator("#review-summary").inner_text().startswith("No frames"))
    box = page.tab.locator("#strips").bounding_box()
    page.tab.mouse.move(box["x"] + (96 + box["width"]) / 2, box["y"] + 29)
    title = page.tab.get_attribute("#strips", "title")
    assert re.fullmatch(r"object 1 tracked, confidence [01]\.\d\d", title or "")
