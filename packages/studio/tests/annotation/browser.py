"""A headless Chromium on a running annotation page, with the mouse and keyboard of a person."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
import pytest

from aotlab_testing.files import SAMPLE
from aotlab_testing.processes import WAIT_SECONDS

SEQUENCE = "pond"
FRAMES = SAMPLE / "JPEGImages" / "480p" / SEQUENCE
RUNNING_JOB = {
    "background": False, "status": "running", "frame": 3, "done": 3, "total": 10, "speed": 5.0, "remaining": 1.0,
    "step": 1, "problem": None,
}  # fmt: skip
"""Message about a job that tracks."""
VIEWPORT = {"width": 1280, "height": 690}
WATCH = """
window.counts = { done: 0, ended: 0 };
new MutationObserver((records) => records.forEach(({ target, attributeName, oldValue }) => {
    if (target.id === 'view' && attributeName === 'aria-busy' && oldValue === 'true') counts.done += 1;
    if (target.id === 'job' && attributeName === 'hidden' && oldValue === null) counts.ended += 1;
})).observe(document, { subtree: true, attributeFilter: ['aria-busy', 'hidden'], attributeOldValue: true });
"""
"""Counts how often the page became idle and how often tracking ended."""
PIXEL = """([x, y]) => {
    const view = document.getElementById('view'), box = view.getBoundingClientRect();
    return [...view.getContext('2d').getImageData(x - box.left, y - box.top, 1, 1).data];
}"""


def hold_first_answer():
    """Return a list, which receives the first route and its answer, and a handler that lets later requests through."""
    held = []

    def answer(route):
        if held:
            route.continue_()
        else:
            held.append((route, route.fetch()))

    return held, answer


class Page:
    """One tab. Points are in pixels of the frame.

    Args:
        opened: load the address at once.
    """

    def __init__(self, context, url: str, *, opened: bool = True) -> None:
        self.tab = context.new_page()
        self.url = url
        self.problems: list[str] = []
        self.requests: list[str] = []
        self.tab.set_default_timeout(1000 * WAIT_SECONDS)
        self.tab.on("pageerror", lambda error: self.problems.append(str(error)))
        self.tab.on("request", lambda request: self.requests.append(request.url))
        self.tab.add_init_script(WATCH)
        if opened:
            self.open()

    @cached_property
    def devtools(self):
        """Session of the DevTools protocol."""
        return self.tab.context.new_cdp_session(self.tab)

    def open(self, url: str = "") -> None:
        """Load the page, perhaps again or at another address, and wait until it is usable."""
        self.url = url or self.url
        self.tab.goto(self.url)
        self.wait_idle()
        self.size = self.labels(0).shape

    def answer(self, address: str | re.Pattern[str], handler: Callable) -> None:
        """Let a handler answer requests; wait until Chromium intercepts them, which takes a moment."""
        self.tab.route(address, handler)
        self.tab.route("**/intercepted", lambda route: route.fulfill(body="yes"))
        self.wait_until(lambda: self.tab.evaluate("fetch('intercepted').then((answer) => answer.ok)"))

    def hold_requests(self, address: str) -> list[Any]:
        """Hold back the requests to addresses that match a pattern; return the list of their routes."""
        held: list[Any] = []
        self.answer(re.compile(address), lambda route: held.append(route))
        return held

    def at(self, x: float, y: float) -> list[float]:
        """Return the window position of a frame's pixel while the whole frame is shown."""
        box = self.tab.locator("#view").bounding_box()
        height, width = self.size
        zoom = min(box["width"] / width, box["height"] / height)
        return [
            box["x"] + (box["width"] - zoom * width) / 2 + x * zoom,
            box["y"] + (box["height"] - zoom * height) / 2 + y * zoom,
        ]

    def pixel(self, x: float, y: float) -> list[int]:
        """Return the color that is drawn at a pixel of the frame."""
        return list(self.tab.evaluate(PIXEL, self.at(x, y)))

    def place(self) -> list[int]:
        """Return the readout: pixel under the pointer, zoom in percent."""
        return [int(value) for value in re.findall(r"-?\d+", self.tab.inner_text("#readout"))]

    def tool(self) -> str:
        """Return the selected tool."""
        return str(self.tab.get_attribute("#tools [data-tool][aria-pressed=true]", "data-tool"))

    def radius(self) -> float:
        """Return the radius of the brush."""
        return float(self.tab.inner_text("#tools output").removesuffix(" px"))

    def wait_selected(self, name: str) -> None:
        """Wait until an object is selected."""
        self.tab.wait_for_selector(f"#objects [aria-pressed=true] .name >> text='{name}'")

    def wait_objects(self, count: int) -> None:
        """Wait until the list has this number of objects."""
        self.tab.wait_for_function("count => document.querySelectorAll('#objects li').length === count", arg=count)

    def wait_shown(self, *names: str) -> None:
        """Wait until the masks of these objects, and no others, are drawn."""
        text = f"Masks: {', '.join(names)}" if names else "No masks"
        self.tab.wait_for_selector(f"#view[aria-description='{text}']")

    def wait_until(self, condition: Callable[[], object]) -> None:
        """Wait until a condition is true; on timeout, show the status line and the last requests."""
        end = time.monotonic() + WAIT_SECONDS
        while not condition():
            assert time.monotonic() < end, (self.tab.inner_text("#status"), self.requests[-9:])
            self.tab.wait_for_timeout(30)

    def wait_status(self, words: str) -> None:
        """Wait until the status line contains these words."""
        assert words, "every line contains an empty text; call wait_no_status"
        self.tab.wait_for_function("words => document.getElementById('status').textContent.includes(words)", arg=words)

    def wait_no_status(self) -> None:
        """Wait until the status line is empty."""
        self.tab.wait_for_selector("#status:empty", state="attached")

    def drag(self, *points: tuple[float, float], steps: int = 4) -> None:
        """Press at the first point, move to the others, release at the last; wait for the answer."""
        with self.done():
            self.stroke(*points, steps=steps)

    def stroke(self, *points: tuple[float, float], steps: int = 4) -> None:
        """Drag without waiting for the answer."""
        self.press(*points[0])
        for point in points[1:]:
            self.move(*point, steps=steps)
        self.tab.mouse.up()

    def move(self, x: float, y: float, steps: int = 3) -> None:
        """Move the mouse to a pixel, in steps on the way."""
        self.tab.mouse.move(*self.at(x, y), steps=steps)

    def press(self, x: float, y: float) -> None:
        """Move the mouse to a pixel, and press its button."""
        self.move(x, y)
        self.tab.mouse.down()

    def lift(self, x: float, y: float) -> None:
        """Move the mouse to a pixel, and release its button."""
        self.move(x, y)
        self.tab.mouse.up()

    def click(self, *points: tuple[float, float]) -> None:
        """Click on points, without waiting for answers."""
        for point in points:
            self.tab.mouse.click(*self.at(*point))

    def click_done(self, x: float, y: float, **options: Any) -> None:
        """Click and wait for the answer; options are those of Playwright."""
        with self.done():
            self.tab.mouse.click(*self.at(x, y), **options)

    def move_cursor(self, x: int, y: int) -> None:
        """Move the keyboard's cursor to a pixel."""
        for _ in range(1000):
            at = re.findall(r"\d+", self.tab.inner_text("#status"))
            dx, dy = x - int(at[0]), y - int(at[1])
            if dx == dy == 0:
                return
            key, distance = ("d" if dx > 0 else "a", abs(dx)) if dx else ("s" if dy > 0 else "w", abs(dy))
            self.key(key if distance >= 8 else f"Shift+{key}")
        pytest.fail("the cursor did not arrive")

    def done(self) -> WaitForNext:
        """Wait, at the end of the block, for the answer to the actions in it."""
        return WaitForNext(self, "done")

    def key(self, *names: str) -> None:
        """Press keys."""
        for name in names:
            self.tab.keyboard.press(name)

    def key_done(self, name: str) -> None:
        """Press a key and wait for the answer to its action."""
        with self.done():
            self.key(name)

    def seek(self, frame: int) -> None:
        """Go to a frame through its field."""
        self.tab.fill("#frame", str(frame))
        self.tab.press("#frame", "Enter")
        self.tab.evaluate("document.activeElement.blur()")
        self.wait_frame(frame)

    def wait_frame(self, frame: int) -> None:
        """Wait until a frame is shown."""
        self.tab.wait_for_selector(f"#strips[aria-valuenow='{frame}']")

    def settle(self) -> None:
        """Wait until the page has handled all events so far."""
        self.tab.evaluate("new Promise((end) => setTimeout(() => requestAnimationFrame(() => setTimeout(end))))")

    def wait_idle(self) -> None:
        """Wait until the page has all answers and masks."""
        self.tab.wait_for_selector("#view[aria-busy=false]")

    def may_leave(self) -> bool:
        """Dispatch the event before a close, which sends pending edits; return whether the page may close at once."""
        return bool(self.tab.evaluate("dispatchEvent(new Event('beforeunload', { cancelable: true }))"))

    def leave(self) -> None:
        """Close the tab, and confirm if it asks."""
        self.tab.on("dialog", lambda dialog: dialog.accept())
        with self.tab.expect_event("close"):  # answers the dialog
            self.tab.close(run_before_unload=True)

    def tracked(self) -> WaitForNext:
        """Wait, at the end of the block, until the page shows the end of a tracking job that began in it."""
        return WaitForNext(self, "ended")

    def track(self, key: str, last: int | None = None) -> None:
        """Track, perhaps up to a frame, and wait for the end."""
        if last is not None:
            self.tab.fill("#last", str(last))
            self.tab.evaluate("document.activeElement.blur()")
        with self.done(), self.tracked():
            self.key(key)

    def labels(self, frame: int) -> np.ndarray:
        """Return the masks of a frame as the server sends them: H×W ids."""
        from studio.tests.annotation.served import decode_labels

        answer = self.tab.request.get(f"{self.tab.url}labels/{frame}")
        return decode_labels(answer.body())

    def paint(self, mask: np.ndarray, radius: float = 12) -> None:
        """Draw a mask with the brush: strokes along rows, and one around the inside of the edge."""
        import cv2

        inner = cv2.erode(
            mask.astype(np.uint8), cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (int(2 * radius) + 1,) * 2)
        )
        for y in range(0, mask.shape[0], int(radius * 1.5)):
            columns = np.flatnonzero(inner[y])
            if len(columns):
                self.drag((columns[0] + 0.5, y + 0.5), (columns[-1] + 0.5, y + 0.5), steps=6)
        contours, _ = cv2.findContours(inner, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        for contour in contours:
            points = [(float(x) + 0.5, float(y) + 0.5) for x, y in contour[::4, 0]]
            self.drag(*points, points[0], steps=1)


class WaitForNext:
    """Waits, at the end of the block, until one of the counts of `WATCH` is higher than at its start."""

    def __init__(self, page: Page, name: str) -> None:
        self.tab = page.tab
        self.count = f"counts.{name}"

    def __enter__(self) -> None:
        self.before = self.tab.evaluate(self.count)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.tab.wait_for_function(f"before => {self.count} > before", arg=self.before)


class Wire:
    """The WebSocket of a page: opens the page, records messages, and can hold answers back until they are released.

    Args:
        held: actions whose answers are held back.
    """

    def __init__(self, page: Page, *held: str) -> None:
        self.page, self.actions = page, held
        self.sent: list[dict[str, Any]] = []
        self.answers: list[dict[str, Any]] = []
        self.held: list[str] = []
        self.held_action = ""
        self.unsent: list[tuple[Any, str]] = []
        self.connections = 0
        self.refuses = False
        self.change: Callable[[dict[str, Any]], None] = lambda result: None
        page.tab.route_web_socket(re.compile(r"/socket\?"), self.connect)
        page.open()
        page.key("b")

    def connect(self, socket) -> None:
        self.connections += 1
        if self.refuses:
            socket.close()
            return
        self.socket = socket
        server = socket.connect_to_server()
        socket.on_message(lambda text: self.send(server, text))
        server.on_message(self.receive)

    def send(self, server, text: str) -> None:
        message = json.loads(text)
        if message["do"] == self.held_action:
            self.unsent.append((server, text))
            return
        self.sent.append(message)
        server.send(text)

    def hold_sent(self, action: str) -> None:
        """Hold back the messages of an action."""
        self.held_action = action

    def wait_unsent(self) -> None:
        """Wait until a message is held back."""
        self.page.wait_until(lambda: self.unsent)

    def send_held(self) -> None:
        """Wait until a message is held back, and send the last one; later ones are not held back."""
        self.wait_unsent()
        self.held_action = ""
        self.send(*self.unsent.pop())

    def receive(self, text: str) -> None:
        message = json.loads(text)
        if "event" not in message:
            self.answers.append(message)
            action = next(one["do"] for one in reversed(self.sent) if one["id"] == message["id"])
            if action == "describe":
                self.change(message["result"])
            if action in self.actions:
                self.held.append(text)
                return
        self.socket.send(json.dumps(message))

    def wait_held(self) -> None:
        """Wait until an answer is held back."""
        self.page.wait_until(lambda: self.held)

    def release(self) -> None:
        """Wait until an answer is held back; send the first one to the page."""
        self.wait_held()
        self.socket.send(self.held.pop(0))

    def list_sent(self, action: str) -> list[dict[str, Any]]:
        """Return the sent messages of an action."""
        return [message for message in self.sent if message["do"] == action]


def open_list(context, served, *, fixed_clock=False):
    """Open the list of a batch in a tab."""
    tab = context.new_page()
    if fixed_clock:
        tab.clock.install()
    tab.goto(served.url)
    tab.wait_for_selector("#clips tr")
    return tab
