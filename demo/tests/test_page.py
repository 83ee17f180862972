"""The built page in a headless Chromium: PyTorch's masks, no requests, canceling, downloads, refusals, axe."""

from __future__ import annotations

import base64
import http.server
import io
import os
import threading
import zipfile
from functools import partial
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from aotlab import Prompt, Tracker, open_frames
from demo import build
from studio.tests.annotation.browser import find_violations, iou, needs_browser
from studio.tests.annotation.conftest import browser

__all__ = ["browser"]
BOX = (150, 2, 310, 410)
TRACKED = 20
WAIT = 300_000
"""milliseconds; a busy machine is slow"""
MAX_LOAD = 30e6
"""bytes of the first load"""

pytestmark = [
    needs_browser,
    pytest.mark.slow,
    pytest.mark.skipif(
        not (build.DEMO / "node_modules").is_dir(), reason="no packages (npm ci --prefix demo)"
    ),
]


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves the page as ``python -m http.server`` does and counts."""

    requests = 0
    sent = 0

    def log_message(self, *_):
        type(self).requests += 1

    def send_header(self, name, value):
        if name == "Content-Length":
            type(self).sent += int(value)
        super().send_header(name, value)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The built page with the model for 240p."""
    folder = tmp_path_factory.mktemp("site")
    build.build_code(folder)
    build.encode_sample(build.SAMPLE, folder / "sample.webm")
    (folder / "models").mkdir()
    build.export("240p", folder / "models" / "240p.zip")
    return folder


@pytest.fixture(scope="module")
def address(site):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=site))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://localhost:{server.server_port}/"
    server.shutdown()


@pytest.fixture(scope="module")
def loaded(address, browser):
    """The page with its model."""
    tab = browser.new_context(viewport={"width": 1280, "height": 800}).new_page()
    tab.set_default_timeout(WAIT)
    tab.problems = []
    tab.on("pageerror", lambda error: tab.problems.append(str(error)))
    tab.goto(address)
    wait_status(tab, "Ready")
    yield tab
    assert tab.problems == []


def wait_status(tab, words):
    """Wait until the status line holds words."""
    tab.wait_for_function("words => document.getElementById('status').textContent.includes(words)", arg=words)


def press(tab, *points, size=(854, 480)):
    """Drag between two points of the view, or click on one."""
    box = tab.locator("#view").bounding_box()
    for index, (x, y) in enumerate(points):
        tab.mouse.move(box["x"] + x * box["width"] / size[0], box["y"] + y * box["height"] / size[1])
        if index == 0:
            tab.mouse.down()
    tab.mouse.up()


def download(tab, button):
    """Press a button; return the bytes of the file."""
    with tab.expect_download() as waiting:
        tab.click(button)
    return Path(waiting.value.path()).read_bytes()


def download_masks(tab):
    """Return the masks by frame."""
    archive = zipfile.ZipFile(io.BytesIO(download(tab, "#masks")))
    return {
        int(Path(name).stem): np.asarray(Image.open(archive.open(name)))
        for name in sorted(archive.namelist())
    }


def seek(tab, index):
    """Show a frame."""
    tab.fill("#frame", str(index))
    tab.wait_for_selector(f"#position >> text=/^{index + 1} /")


def see_view(tab):
    """Return the shown frame with its masks and prompts, as a data URL."""
    return tab.evaluate("document.getElementById('view').toDataURL()")


def read_frame(tab, index):
    """Return a frame H×W×3 as the page shows it, without masks."""
    seek(tab, index)
    return np.asarray(
        Image.open(io.BytesIO(base64.b64decode(see_view(tab).partition(",")[2]))).convert("RGB")
    )


def test_sample_tracked_without_requests(loaded, address, tmp_path):
    assert loaded.evaluate("crossOriginIsolated")
    assert Handler.sent < MAX_LOAD
    loaded.context.set_offline(True)
    requests = Handler.requests
    loaded.on("request", lambda request: loaded.problems.append(request.url))
    left, top, width, height = BOX
    press(loaded, (left, top), (left + width, top + height))
    wait_status(loaded, "marked")
    loaded.click("#track")
    loaded.wait_for_function(f"parseInt(document.getElementById('position').textContent) > {TRACKED}")
    loaded.click("#cancel")
    assert loaded.inner_text("#status") == "Tracking canceled"
    assert loaded.is_enabled("#track")
    assert "frames/s" in loaded.inner_text("#speed")
    masks = download_masks(loaded)
    overlay = tmp_path / "overlay.webm"
    overlay.write_bytes(download(loaded, "#overlay"))
    assert len(list(open_frames(overlay))) == len(masks) > TRACKED
    assert [url for url in loaded.problems if not url.startswith("blob:")] == []
    assert Handler.requests == requests
    loaded.problems.clear()

    loaded.click("#clear")
    frames = [read_frame(loaded, index) for index in range(TRACKED + 1)]
    settings = [
        "input.min_short_edge=null",
        "input.max_short_edge=240",
        "rules.ownership=false",
        "rules.cuts=false",
    ]
    tracker = Tracker.from_pretrained(overrides=[*settings, "compute.precision=float32"])
    prompted = tracker.fresh().step(frames[0], prompts={1: Prompt(box=BOX)}).labels
    assert iou(prompted == 1, masks[0] == 1) >= 0.97  # browsers scale images with other filters
    tracker.step(frames[0], masks[0])
    equal = [(tracker.step(frame).labels == masks[index]).mean() for index, frame in enumerate(frames[1:], 1)]
    assert min(equal) >= 0.999


def is_leaving_guarded(tab):
    """Whether the browser asks before the page is closed."""
    return tab.evaluate(
        "() => !window.dispatchEvent(new Event('beforeunload', {cancelable: true}))",
    )


def assert_equal_downloads(found, expected):
    assert found.keys() == expected.keys()
    assert all(np.array_equal(found[index], expected[index]) for index in expected)


def test_tracking_clearing_and_opening_are_undone(loaded, tmp_path):
    draw_portrait(tmp_path / "portrait.webm")
    loaded.click("#undo")  # of "Clear all"
    assert not is_leaving_guarded(loaded)  # as they were downloaded
    masks = download_masks(loaded)
    assert len(masks) > TRACKED
    seek(loaded, 0)
    loaded.click("#track")
    loaded.wait_for_function("parseInt(document.getElementById('position').textContent) > 2")
    loaded.click("#cancel")
    assert is_leaving_guarded(loaded)
    assert download_masks(loaded).keys() == masks.keys()
    assert not is_leaving_guarded(loaded)
    loaded.click("#undo")
    assert is_leaving_guarded(loaded)
    loaded.set_input_files("#file", tmp_path / "portrait.webm")
    wait_status(loaded, "6 frames")
    assert loaded.is_disabled("#masks")
    loaded.click("#undo")
    assert_equal_downloads(download_masks(loaded), masks)


def fail_call(tab, method):
    """Let the next call of a method of the worker fail."""
    tab.evaluate(
        """(method) => {
          const { postMessage } = Worker.prototype;
          Worker.prototype.postMessage = function (call) {
            if (call.method === method) Worker.prototype.postMessage = postMessage;
            postMessage.call(this, call.method === method ? { ...call, method: 'missing' } : call);
          };
        }""",
        method,
    )


def test_refused_click_keeps_earlier_ones(loaded):
    seek(loaded, 0)
    press(loaded, (300, 200))
    wait_status(loaded, "marked")
    view, masks = see_view(loaded), download_masks(loaded)
    fail_call(loaded, "segment")
    press(loaded, (320, 210))
    loaded.wait_for_selector("#status.error")
    assert see_view(loaded) == view
    assert_equal_downloads(download_masks(loaded), masks)


def test_tracking_without_a_frame_is_no_undo_step(loaded):
    seek(loaded, 0)
    press(loaded, (300, 200))
    wait_status(loaded, "marked")
    masks = download_masks(loaded)
    press(loaded, (500, 300))
    wait_status(loaded, "marked")
    fail_call(loaded, "step")
    loaded.click("#track")
    loaded.wait_for_selector("#status.error")
    loaded.click("#undo")  # of the second click
    assert_equal_downloads(download_masks(loaded), masks)


def test_undecodable_frame_named(loaded):
    loaded.evaluate(
        """() => {
          const { decode } = VideoDecoder.prototype;
          VideoDecoder.prototype.decode = () => {
            VideoDecoder.prototype.decode = decode;
            throw new Error('this frame is broken');
          };
        }"""
    )
    loaded.fill("#frame", "9")
    wait_status(loaded, "this frame is broken")


def test_axe_finds_nothing(loaded):
    loaded.context.set_offline(False)
    assert find_violations(loaded) == []
    loaded.emulate_media(color_scheme="dark")
    assert find_violations(loaded) == []


@pytest.mark.parametrize("width", [390, 1280])
def test_controls_keep_their_places(loaded, width):
    loaded.set_viewport_size({"width": width, "height": 844})
    rows = loaded.evaluate(
        """() => [...document.querySelectorAll('.row')].map(
          (row) => [...row.querySelectorAll(':scope > button')].map((button) => button.offsetHeight))"""
    )
    assert {height for row in rows for height in row} == {34}
    tops = loaded.evaluate(
        """() => [[true, 'Ready'], [false, 'Tracking…'], [true, 'two lines '.repeat(7)]]
          .map(([hidden, text]) => {
            document.getElementById('progress').hidden = hidden;
            document.getElementById('status').textContent = text;
            return document.getElementById('track').offsetTop;
          })"""
    )
    loaded.evaluate("document.getElementById('progress').hidden = true")
    assert len(set(tops)) == 1
    assert loaded.evaluate("document.documentElement.scrollWidth") == width


def test_focused_file_input_outlines_its_button(loaded):
    loaded.keyboard.press("Tab")  # the keyboard makes focus visible
    loaded.focus("#file")
    assert loaded.evaluate("getComputedStyle(document.querySelector('label.button')).outlineStyle") == "solid"


def draw_portrait(path):
    """Write a portrait video of 6 frames with a yellow square on blue; return the square's mask."""
    image = np.full((200, 120, 3), (30, 40, 120), np.uint8)
    image[60:120, 30:90] = (240, 220, 40)
    with av.open(str(path), "w") as video:
        stream = video.add_stream("libvpx-vp9", rate=10)
        stream.width, stream.height, stream.pix_fmt = 120, 200, "yuv420p"
        for _ in range(6):
            video.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        video.mux(stream.encode())
    return image[..., 0] > 100


def test_own_video_tracked_in_its_size(loaded, tmp_path):
    square = draw_portrait(tmp_path / "portrait.webm")
    loaded.set_input_files("#file", tmp_path / "portrait.webm")
    wait_status(loaded, "6 frames")
    assert loaded.input_value("#file") == ""  # browsers report a choice of the same file only then
    press(loaded, (345, 135), (509, 297))
    wait_status(loaded, "marked")
    loaded.click("#track")
    wait_status(loaded, "Tracked 5 frames")
    masks = download_masks(loaded)
    assert sorted(masks) == [0, 1, 2, 3, 4, 5]
    assert {mask.shape for mask in masks.values()} == {square.shape}
    found, expected = ([(axis.min(), axis.max()) for axis in np.nonzero(mask)] for mask in (masks[0], square))
    np.testing.assert_allclose(found, expected, atol=4)  # pixels: a mask has a quarter of the resolution
    loaded.fill("#frame", "5")
    loaded.wait_for_selector("#position >> text=/^6 /")
    loaded.click("#track")
    wait_status(loaded, "No frame follows this one: mark an object on an earlier frame to track it")
    assert len(download_masks(loaded)) == 6


def test_unreadable_file_refused(loaded, tmp_path):
    (tmp_path / "notes.txt").write_text("no video")
    loaded.set_input_files("#file", tmp_path / "notes.txt")
    wait_status(loaded, "notes.txt: not a video that can be read")


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("delete window.WebAssembly", "WebAssembly is off"),
        ("delete window.VideoDecoder", "no WebCodecs"),
        ("VideoDecoder.isConfigSupported = async () => ({supported: false})", "cannot decode vp09"),
        (
            "const Real = Worker; window.Worker = class extends Real { constructor() { super('missing.js'); } }",
            "Model 240p: cannot be loaded; reload the page, or compute on the CPU (The model failed",
        ),
        (
            "Object.defineProperty(window, 'sessionStorage', { get() { throw new Error('denied'); } })",
            "Ready",
        ),
    ],
)
def test_missing_feature_named_or_replaced(address, browser, script, words):
    tab = browser.new_page()
    tab.set_default_timeout(WAIT)
    tab.add_init_script(script)
    tab.goto(address)
    wait_status(tab, words)
    tab.close()


def test_missing_sample_named(address, browser, tmp_path):
    draw_portrait(tmp_path / "portrait.webm")
    tab = browser.new_page()
    tab.set_default_timeout(WAIT)
    problems = []
    tab.on("pageerror", lambda error: problems.append(str(error)))
    tab.add_init_script(
        "const real = fetch; window.fetch = (url, ...rest) => url === 'sample.webm'"
        " ? Promise.reject(new TypeError('Failed to fetch')) : real(url, ...rest)"
    )
    tab.goto(address)
    wait_status(tab, "sample.webm: cannot be fetched; open a video of your own")
    tab.wait_for_selector("#speed:not(:empty)")  # the model is loaded
    view = see_view(tab)
    press(tab, (345, 135), (509, 297))
    assert see_view(tab) == view
    tab.set_input_files("#file", tmp_path / "portrait.webm")
    wait_status(tab, "6 frames")
    press(tab, (345, 135), (509, 297))
    wait_status(tab, "marked")
    assert problems == []
    tab.close()


@pytest.mark.parametrize("size", build.SIZES)
def test_speed_is_shown(address, site, browser, size):
    """The table of docs/howto/demo.md: ``pytest demo/tests -m slow -k speed -s``."""
    model = site / "models" / f"{size}.zip"
    if not model.is_file():
        build.export(size, model)
    tab = browser.new_context(viewport={"width": 1280, "height": 800}).new_page()
    tab.set_default_timeout(WAIT)
    sent = Handler.sent
    tab.goto(address)
    wait_status(tab, "Ready")
    sent = Handler.sent - sent
    if size != tab.input_value("#size"):
        tab.select_option("#size", size)
        wait_status(tab, "Loading")
        wait_status(tab, "Ready")
    left, top, width, height = BOX
    press(tab, (left, top), (left + width, top + height))
    wait_status(tab, "marked")
    tab.click("#track")
    tab.wait_for_function("parseInt(document.getElementById('position').textContent) > 10")
    tab.click("#cancel")
    speed = tab.inner_text("#speed")
    print(
        f"\n| {size} | {speed} | first load {sent / 1e6:.1f} MB | load of the machine {os.getloadavg()[0]:.1f} |"
    )
    assert "frames/s" in speed
    assert sent < MAX_LOAD
    tab.context.close()
