"""The page in a browser: the same input makes the same masks, however late the answers are."""

from __future__ import annotations

import random
import re
import threading

import numpy as np
import pytest

from aotlab_testing.browser import needs_browser
from aotlab_testing.marks import slow
from studio.tests.annotation.browser import Page
from studio.tests.annotation.clips import HEIGHT, LENGTH, WIDTH, draw_folder
from studio.tests.annotation.sessions import draw, open_session

pytestmark = needs_browser

KEYS = ["ArrowRight"] * 3 + ["ArrowLeft", "Shift+ArrowRight", "End", "Home", "Shift+N", *"12nbelmfu[]"]
"""Keys that go to other frames, or decide what the next stroke does."""
STROKES = ("drag", "drag", "drag", "box", "scribble", "click", "polygon")
PROMPTS = ("box", "scribble", "click")


def choose_script(seed):
    """Return random keys and strokes: each a name and its points."""
    chance = random.Random(seed)

    def choose_point():
        return chance.uniform(1, WIDTH - 1), chance.uniform(1, HEIGHT - 1)

    script = []
    for _ in range(14):
        if chance.random() < 0.5:
            script.append((chance.choice(KEYS), []))
        else:
            count = {"click": 1, "polygon": 4}.get(kind := chance.choice(STROKES), chance.randint(2, 4))
            script.append((kind, [choose_point() for _ in range(count)]))
    return script


class LateAnswers:
    """Answers of the server that wait; those of the WebSocket stay in order."""

    def __init__(self, page, seed):
        self.page, self.chance = page, random.Random(seed)
        self.routes, self.messages, self.late = [], [], False  # late: from the first input on
        page.tab.route_web_socket(re.compile(r"/socket\?"), self.connect)
        page.open()
        page.answer(re.compile(r"/(frame|labels)/\d+\?"), self.take)
        self.late = True

    def connect(self, socket):
        server = socket.connect_to_server()
        server.on_message(lambda text: self.messages.append((socket, text)) if self.late else socket.send(text))

    def take(self, route):
        if self.late:
            self.routes.append(route)
        else:
            route.continue_()

    def release(self, count):
        """Let some answers through."""
        for _ in range(count):
            if self.messages and self.chance.random() < 0.5:
                socket, text = self.messages.pop(0)
                socket.send(text)
            elif self.routes:
                self.routes.pop(self.chance.randrange(len(self.routes))).continue_()

    def release_some(self):
        """Let up to two answers through after a moment."""
        self.page.tab.wait_for_timeout(5)
        self.release(self.chance.randint(0, 2))

    def release_all(self):
        """Let all answers through until the page is idle."""
        idle = 0
        while idle < 5:
            held = len(self.messages) + len(self.routes)
            self.release(2 * held)
            self.page.tab.wait_for_timeout(10)
            is_idle = self.page.tab.is_visible("#view[aria-busy=false]") and self.page.tab.is_hidden("#waiting")
            idle = idle + 1 if is_idle and not held else 0


def enter(page, name, points, pause=lambda: None):
    """Press a key; or draw, with the tool of the last key unless the name is a tool, a prompt on a new object.

    ``pause`` is called before each point.
    """
    keys = {"box": "x", "scribble": "z", "click": "c", "polygon": "p"}
    if name in PROMPTS:
        page.key("n", "ArrowRight")
    page.key(*keys.get(name, () if points else [name]))
    if name in ("click", "polygon"):
        page.click(*points)
    elif points:
        page.press(*points[0])
        for point in points[1:]:
            pause()
            page.move(*point, steps=2)
        pause()
        page.tab.mouse.up()
    if name == "polygon":
        page.key("Enter")
    if name in keys:
        page.key("b")


def play(context, serve, folder, script, late_seed=None):
    """Enter a script on a page of its own; return the masks of all frames, and the frame that shows."""
    session = open_session(folder)
    for frame in (0, 3, 9):
        draw(session, frame, 1, 2)
    page = Page(context, serve(session).url, opened=False)
    late = None if late_seed is None else LateAnswers(page, late_seed)
    if late is None:
        page.open()
    page.wait_objects(2)
    page.tab.evaluate("document.getElementById('toasts').style.display = 'none'")  # they would take clicks
    page.key("1", "b")
    for name, points in script:
        if late is None:
            enter(page, name, points)
            page.settle()
            page.wait_until(lambda: page.tab.is_hidden("#waiting"))
            page.wait_idle()
        else:
            enter(page, name, points, late.release_some)
            late.release_some()
    if late is not None:
        late.release_all()
    frame = page.tab.get_attribute("#strips", "aria-valuenow")
    labels = [page.labels(index) for index in range(LENGTH)]
    page.tab.close()
    assert page.problems == []
    return labels, frame


@pytest.mark.parametrize("seed", [1, *slow(*range(2, 12))])
def test_late_answers_do_not_change_the_masks(context, serve, tmp_path, seed):
    script = choose_script(seed)
    expected, expected_frame = play(context, serve, draw_folder(tmp_path / "prompt"), script)
    found, found_frame = play(context, serve, draw_folder(tmp_path / "late"), script, late_seed=seed)
    assert found_frame == expected_frame
    for index, labels in enumerate(expected):
        np.testing.assert_array_equal(found[index], labels, f"frame {index} of {script}")


@pytest.fixture
def held_labels(page):
    """Requests for masks that wait, and an event that lets all through."""
    held, released = [], threading.Event()
    page.answer(
        re.compile(r"/labels/\d+\?"), lambda route: route.continue_() if released.is_set() else held.append(route)
    )
    return held, released


def finish_all(page, held, released):
    """Let all requests through, and wait until no input waits."""
    released.set()
    for route in held:
        route.continue_()
    page.wait_until(lambda: page.tab.is_hidden("#waiting"))
    page.settle()
    page.wait_idle()


@pytest.mark.parametrize("tool", ["b", *slow("l")])
def test_frame_that_arrives_during_a_stroke_gets_its_own(page, held_labels, tool):
    held, released = held_labels
    page.key(tool, "ArrowRight")
    page.stroke((10, 10), (40, 10), (40, 30))
    page.wait_until(lambda: held)
    page.key("ArrowRight")
    page.press(10, 35)
    held.pop(0).continue_()
    page.wait_frame(1)  # the button is down for the next frame
    page.move(20, 35)
    page.move(20, 20)
    page.tab.mouse.up()
    finish_all(page, held, released)
    drawn = [page.labels(index).astype(bool) for index in range(4)]
    assert [masks.any() for masks in drawn] == [False, True, True, False]
    assert [bool(masks[12, 35]) for masks in drawn[1:3]] == [True, False]
    assert [bool(masks[33, 18]) for masks in drawn[1:3]] == [False, True]


def test_strokes_while_frames_load_belong_to_their_frames(page, held_labels):
    page.stroke((10, 10), (20, 10))
    for _ in range(3):
        page.key("ArrowRight")
        page.stroke((10, 10), (20, 10))
    page.tab.wait_for_selector("#waiting:not([hidden])")
    finish_all(page, *held_labels)
    page.wait_frame(3)
    assert [bool(page.labels(index)[10, 15]) for index in range(5)] == [True] * 4 + [False]
