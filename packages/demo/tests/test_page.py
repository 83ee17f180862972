"""The built page in a headless Chromium: the bundled model beside PyTorch's; the page's behavior with a fake model."""

import base64
import http.server
import io
import os
import threading
import zipfile
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from aotlab import Prompt, Tracker
from aotlab_testing.browser import find_violations, iou, needs_browser
from aotlab_testing.video_files import encode
from aotlab_video import open_frames
from demo import build

BOX = (150, 2, 310, 410)
TRACKED = 20
WAIT = 300_000
"""Milliseconds; a busy machine is slow."""
MAX_LOAD = 30e6
"""Bytes of the first load."""
FAKE_MODEL = """
window.model = {
  load: async () => 'fake',
  segment: async (image, { positive, negative, box }, otherObjects) => {
    const [x, y] = positive.at(-1) ?? [];
    const [left, top, width, height] = box ?? [x - 20, y - 20, 40, 40];
    return otherObjects.map((other, pixel) => {
      const [column, row] = [pixel % image.width - left, Math.floor(pixel / image.width) - top];
      return Number(!other && column >= 0 && row >= 0 && column < width && row < height);
    });
  },
  start: async (image, labels) => { model.labels = labels; },
  step: async () => model.labels.slice(),
};
const RealWorker = Worker;
window.Worker = class extends EventTarget {
  constructor(address, options) {
    super();
    if (address !== 'worker.js') return new RealWorker(address, options); // of the library that encodes videos
  }
  async postMessage({ id, method, args }) {
    const answer = await model[method](...args).then((result) => ({ result }), (error) => ({ error: error.message }));
    this.dispatchEvent(new MessageEvent('message', { data: { id, ...answer } }));
  }
  terminate() {}
};
"""
"""The mask of a prompt is its box, or a square around the last click; tracking repeats the masks."""
PLAIN_SERVER = "Object.defineProperty(navigator, 'serviceWorker', { value: undefined });"
HOLD_STEPS = "() => { model.step = () => new Promise(() => {}); }"

pytestmark = [
    needs_browser,
    pytest.mark.slow,
    pytest.mark.skipif(not (build.DEMO / "node_modules").is_dir(), reason="no packages (npm ci)"),
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
    """The built page without models."""
    folder = tmp_path_factory.mktemp("site")
    build.build_code(folder)
    build.encode_sample(build.SAMPLE, folder / "sample.webm")
    (folder / "models").mkdir()
    return folder


@pytest.fixture(scope="module")
def address(site):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=site))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://localhost:{server.server_port}/"
    server.shutdown()


@pytest.fixture
def open_page(address, browser):
    """Open the page with scripts that run before its own; it must not raise."""
    tabs = []

    def open_page(*scripts):
        tab = browser.new_context(viewport={"width": 1280, "height": 800}).new_page()
        tabs.append(tab)
        tab.set_default_timeout(WAIT)
        tab.problems = []
        tab.on("pageerror", lambda error: tab.problems.append(str(error)))
        for script in scripts:
            tab.add_init_script(script)
        tab.goto(address)
        return tab

    yield open_page
    for tab in tabs:
        assert tab.problems == []
        tab.context.close()


@pytest.fixture
def tab(open_page):
    """The page with the sample and a fake model."""
    tab = open_page(FAKE_MODEL, PLAIN_SERVER)
    wait_status(tab, "Ready")
    return tab


@pytest.fixture
def portrait(tmp_path):
    """A portrait video of 6 frames in one color."""
    return encode(tmp_path / "portrait.webm", "libvpx-vp9", np.full((6, 200, 120, 3), 90, np.uint8), rate=10)


def wait_status(tab, words):
    """Wait until the status line holds words."""
    tab.wait_for_function("words => document.getElementById('status').textContent.includes(words)", arg=words)


def wait_position(tab, number):
    """Wait until the frame of a number, from 1 on, or a later one is shown."""
    tab.wait_for_function("number => parseInt(document.getElementById('position').textContent) >= number", arg=number)


def press(tab, *points):
    """Drag between two points of the frame, or click on one."""
    box, (width, height) = tab.locator("#view").bounding_box(), tab.evaluate("[view.width, view.height]")
    for index, (x, y) in enumerate(points):
        tab.mouse.move(box["x"] + x * box["width"] / width, box["y"] + y * box["height"] / height)
        if index == 0:
            tab.mouse.down()
    tab.mouse.up()


def mark(tab, *points):
    """Mark an object with a box or a click."""
    press(tab, *points)
    wait_status(tab, "marked")


def open_video(tab, path, words="6 frames"):
    """Open a video, and wait for the model of its shape."""
    tab.set_input_files("#file", path)
    wait_status(tab, words)
    tab.wait_for_selector("#progress", state="hidden")


def track_video(tab, path):
    """Open a portrait video of six frames, and track a box on it."""
    open_video(tab, path)
    mark(tab, (150, 100), (400, 600))
    tab.click("#track")
    wait_status(tab, "Tracked 5 frames")


def drag_box(tab):
    left, top, width, height = BOX
    mark(tab, (left, top), (left + width, top + height))


def drop(tab, path=None):
    """Drop a file on the page, or a text."""
    files = [[path.name, base64.b64encode(path.read_bytes()).decode()]] if path else []
    tab.evaluate(
        """async (files) => {
          const dataTransfer = new DataTransfer();
          for (const [name, data] of files) {
            const content = await (await fetch(`data:;base64,${data}`)).blob();
            dataTransfer.items.add(new File([content], name));
          }
          document.dispatchEvent(new DragEvent('drop', { dataTransfer, cancelable: true }));
        }""",
        files,
    )


def download(tab, button):
    """Press a button; return the bytes of the file."""
    with tab.expect_download() as waiting:
        tab.click(button)
    return Path(waiting.value.path()).read_bytes()


def download_masks(tab):
    """Return the masks by frame."""
    archive = zipfile.ZipFile(io.BytesIO(download(tab, "#masks")))
    return {int(Path(name).stem): np.asarray(Image.open(archive.open(name))) for name in sorted(archive.namelist())}


def assert_equal_masks(found, expected):
    assert found.keys() == expected.keys()
    assert all(np.array_equal(found[index], expected[index]) for index in expected)


def seek(tab, index):
    """Show a frame."""
    tab.fill("#frame", str(index))
    tab.wait_for_selector(f"#position >> text=/^{index + 1} /")


def take_screenshot(tab):
    """Return the shown frame with its masks and prompts, as a data URL."""
    return tab.evaluate(
        """() => {
          const canvas = Object.assign(document.createElement('canvas'), { width: view.width, height: view.height });
          for (const layer of [view, marks]) canvas.getContext('2d').drawImage(layer, 0, 0);
          return canvas.toDataURL();
        }"""
    )


def read_frame(tab, index):
    """Return a frame H×W×3 as the page shows it, without masks."""
    seek(tab, index)
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(take_screenshot(tab).partition(",")[2]))).convert("RGB"))


def is_leaving_guarded(tab):
    """Whether the browser asks before the page is closed."""
    return tab.evaluate("() => !window.dispatchEvent(new Event('beforeunload', {cancelable: true}))")


@dataclass(frozen=True)
class TrackedSample:
    """Results of the page for a box on the sample, with the bundled model."""

    masks: dict[int, np.ndarray]
    frames: list[np.ndarray]
    isolated: bool
    loaded_bytes: int
    requests: int
    """After loading."""
    speed: str


@pytest.fixture(scope="module")
def tracked_sample(site, address, browser):
    build.export("240p", site / "models" / "240p.zip")
    tab = browser.new_context(viewport={"width": 1280, "height": 800}).new_page()
    tab.set_default_timeout(WAIT)
    sent = Handler.sent
    tab.goto(address)
    wait_status(tab, "Ready")
    loaded_bytes, requests = Handler.sent - sent, Handler.requests
    isolated = tab.evaluate("crossOriginIsolated")
    tab.context.set_offline(True)
    drag_box(tab)
    tab.click("#track")
    wait_position(tab, TRACKED + 1)
    tab.click("#cancel")
    speed = tab.inner_text("#speed")
    masks = download_masks(tab)
    tab.click("#clear")
    frames = [read_frame(tab, index) for index in range(TRACKED + 1)]
    yield TrackedSample(masks, frames, isolated, loaded_bytes, Handler.requests - requests, speed)
    tab.context.close()


@pytest.fixture(scope="module")
def tracker():
    """PyTorch's tracker with the settings of the page's model."""
    settings = ["input.min_short_edge=null", "input.max_short_edge=240", "rules.cuts=false"]
    return Tracker.from_pretrained(overrides=[*settings, "compute.precision=float32"])


def test_first_load_is_small(tracked_sample):
    assert tracked_sample.loaded_bytes < MAX_LOAD


def test_loaded_page_needs_no_network(tracked_sample):
    assert tracked_sample.requests == 0


def test_service_worker_allows_threads(tracked_sample):
    assert tracked_sample.isolated
    assert "thread" in tracked_sample.speed
    assert "frames/s" in tracked_sample.speed


def test_mask_of_a_box_equals_pytorch(tracked_sample, tracker):
    mask = tracker.fresh().step(tracked_sample.frames[0], prompts={1: Prompt(box=BOX)}).labels
    assert iou(mask == 1, tracked_sample.masks[0] == 1) >= 0.97  # browsers scale images with other filters


def test_tracked_masks_equal_pytorch(tracked_sample, tracker):
    tracker = tracker.fresh()
    tracker.step(tracked_sample.frames[0], tracked_sample.masks[0])
    equal = [
        (tracker.step(frame).labels == tracked_sample.masks[index]).mean()
        for index, frame in enumerate(tracked_sample.frames[1:], 1)
    ]
    assert min(equal) >= 0.999


def test_canceling_keeps_tracked_frames(tab):
    drag_box(tab)
    tab.evaluate(
        """() => {
          const { step } = model;
          let count = 0;
          model.step = () => ((count += 1) <= 3 ? step() : new Promise(() => {}));
        }"""
    )
    tab.click("#track")
    wait_position(tab, 4)
    tab.click("#cancel")
    assert tab.inner_text("#status") == "Tracking canceled"
    assert tab.is_enabled("#track")
    assert sorted(download_masks(tab)) == [0, 1, 2, 3]


def test_overlay_has_a_frame_per_mask(tab, portrait):
    track_video(tab, portrait)
    overlay = portrait.with_name("overlay.webm")
    overlay.write_bytes(download(tab, "#overlay"))
    assert [frame.shape for frame in open_frames(overlay)] == 6 * [(800, 480, 3)]


def test_objects_absent_from_the_first_frame_keep_their_masks(tab, portrait):
    open_video(tab, portrait)
    mark(tab, (150, 100), (200, 200))
    tab.evaluate(
        """() => {
          const { step } = model;
          model.step = async () => {  // object 1 is hidden on frame 1
            model.step = step;
            return new Uint8Array(480 * 854);
          };
        }"""
    )
    tab.click("#track")
    wait_status(tab, "Tracked 5 frames")
    earlier = download_masks(tab)
    seek(tab, 1)
    tab.click("#add")
    mark(tab, (150, 150), (200, 300))
    tab.click("#track")
    wait_status(tab, "Tracked 4 frames")
    masks = download_masks(tab)
    for index in range(2, 6):
        np.testing.assert_array_equal(masks[index], np.where(masks[1], 2, earlier[index]))
    assert set(np.unique(masks[5])) == {0, 1, 2}


def test_changes_are_undone(tab, portrait):
    drag_box(tab)
    masks = download_masks(tab)

    tab.click("#track")
    wait_status(tab, "Tracked")
    assert len(download_masks(tab)) > 1
    tab.click("#undo")
    assert_equal_masks(download_masks(tab), masks)

    tab.click("#clear")
    assert tab.is_disabled("#masks")
    tab.click("#undo")
    assert_equal_masks(download_masks(tab), masks)

    tab.set_input_files("#file", portrait)
    wait_status(tab, "6 frames")
    assert tab.is_disabled("#masks")
    tab.click("#undo")
    assert_equal_masks(download_masks(tab), masks)


def test_leaving_is_guarded_until_the_download(tab):
    assert not is_leaving_guarded(tab)
    drag_box(tab)
    assert is_leaving_guarded(tab)
    download_masks(tab)
    assert not is_leaving_guarded(tab)
    tab.click("#track")
    wait_status(tab, "Tracked")
    assert is_leaving_guarded(tab)
    tab.click("#undo")
    assert not is_leaving_guarded(tab)


def test_refused_click_keeps_earlier_ones(tab):
    mark(tab, (300, 200))
    view, masks = take_screenshot(tab), download_masks(tab)
    tab.evaluate("() => { model.segment = async () => { throw new Error('out of memory'); }; }")
    press(tab, (320, 210))
    wait_status(tab, "out of memory")
    assert take_screenshot(tab) == view
    assert_equal_masks(download_masks(tab), masks)


def test_tracking_without_a_frame_is_no_undo_step(tab):
    mark(tab, (300, 200))
    masks = download_masks(tab)
    mark(tab, (500, 300))
    tab.evaluate("() => { model.step = async () => { throw new Error('out of memory'); }; }")
    tab.click("#track")
    wait_status(tab, "out of memory")
    tab.click("#undo")  # of the second click
    assert_equal_masks(download_masks(tab), masks)


def test_frames_without_an_object_cannot_be_tracked(tab, portrait):
    open_video(tab, portrait)
    assert tab.is_disabled("#track")
    mark(tab, (150, 100), (200, 200))
    assert tab.is_enabled("#track")
    tab.evaluate("() => { model.step = async () => new Uint8Array(480 * 854); }")
    tab.click("#track")
    wait_status(tab, "Tracked 5 frames")
    seek(tab, 3)  # the object is lost
    assert tab.is_disabled("#track")


def test_last_frame_cannot_be_tracked(tab):
    seek(tab, int(tab.get_attribute("#frame", "max")))
    drag_box(tab)
    tab.click("#track")
    wait_status(tab, "No frame follows this one: mark an object on an earlier frame to track it")


def test_narrow_drag_is_explained(tab):
    view = take_screenshot(tab)
    press(tab, (200, 100), (203, 300))
    wait_status(tab, "The box is too narrow: drag diagonally across the object, or click on it")
    assert take_screenshot(tab) == view


def test_click_while_playing_is_explained(tab):
    tab.click("#play")
    press(tab, (300, 200))
    assert tab.inner_text("#status") == "Pause the video first"
    tab.click("#play")
    mark(tab, (300, 200))


def test_drop_while_tracking_is_explained(tab, portrait):
    drag_box(tab)
    tab.evaluate(HOLD_STEPS)
    tab.click("#track")
    drop(tab, portrait)
    wait_status(tab, "Wait until tracking ends, or cancel")
    tab.click("#cancel")
    drop(tab, portrait)
    wait_status(tab, "portrait.webm: 6 frames")


def test_dropped_text_is_explained(tab):
    drop(tab)
    wait_status(tab, "Drop a video file")


def test_shift_and_the_checkbox_remove(tab):
    tab.evaluate(
        """() => {
          const { segment } = model;
          model.segment = (image, prompt, others) => {
            window.prompt = prompt;
            return segment(image, prompt, others);
          };
        }"""
    )
    mark(tab, (300, 200))
    tab.keyboard.down("Shift")
    press(tab, (320, 210))
    tab.keyboard.up("Shift")
    tab.wait_for_function("prompt.negative.length === 1")
    tab.wait_for_selector("#undo:enabled")
    tab.check("#negative")
    press(tab, (280, 190))
    tab.wait_for_function("prompt.negative.length === 2 && prompt.positive.length === 1")
    tab.wait_for_selector("#undo:enabled")
    press(tab, (500, 300), (600, 400))  # a box marks the object again
    tab.wait_for_function("prompt.box !== null")
    assert tab.evaluate("[...prompt.negative, ...prompt.positive]") == []


def test_chosen_object_keeps_the_focus(tab):
    drag_box(tab)
    tab.click("#add")
    tab.focus("#objects button >> nth=0")
    tab.keyboard.press("Enter")
    assert tab.get_attribute("#objects button:focus", "aria-pressed") == "true"
    assert tab.inner_text("#objects button:focus") == "Object 1"
    tab.click("#undo")
    assert tab.locator("#objects button").count() == 1


def test_clicks_correct_a_tracked_mask(tab, portrait):
    track_video(tab, portrait)
    masks = download_masks(tab)
    tab.evaluate(
        """() => {
          model.segment = async (image, prompt) => {
            window.prompt = prompt;
            return prompt.mask;
          };
        }"""
    )
    tab.check("#negative")
    for index in (2, 3, 2):  # the second time, the mask is no longer a tracked one
        seek(tab, index)
        mark(tab, (155, 200))
        assert tab.evaluate("[prompt.positive.length, prompt.negative.length]") == [0, 1]
        assert tab.evaluate("prompt.mask.includes(1)")
        tab.evaluate("() => { document.getElementById('status').textContent = ''; }")
    assert tab.evaluate("prompt.negative[0]") == pytest.approx([154.5, 199.5], abs=0.5)  # of pixel centers
    mark(tab, (165, 210))
    assert tab.evaluate("[prompt.negative.length, prompt.mask.includes(1)]") == [2, True]
    assert_equal_masks(download_masks(tab), masks)


def test_failed_model_is_loaded_again(open_page):
    tab = open_page(FAKE_MODEL, PLAIN_SERVER, "model.load = async () => { throw new Error('Failed to fetch'); };")
    wait_status(tab, "Model 240p: cannot be loaded (Failed to fetch); load it again")
    press(tab, (300, 200))
    wait_status(tab, "Load the model again first")
    tab.evaluate("() => { model.load = async () => 'fake'; }")
    tab.click("#reload")
    wait_status(tab, "Ready")
    assert tab.is_hidden("#reload")
    mark(tab, (300, 200))


def press_while_the_model_loads(open_page):
    """Open the page and press on the video; the function ``end`` of the page lets the model load."""
    tab = open_page(
        FAKE_MODEL, PLAIN_SERVER, "model.load = () => new Promise((end) => { window.end = () => end('fake'); });"
    )
    wait_status(tab, "sample.webm: ")
    tab.wait_for_function("typeof end === 'function'")
    press(tab, (300, 200))
    wait_status(tab, "Wait until the model is loaded")
    return tab


def test_errors_stay_while_the_model_loads(open_page, tmp_path):
    tab = press_while_the_model_loads(open_page)
    (tmp_path / "notes.txt").write_text("no video")
    tab.set_input_files("#file", tmp_path / "notes.txt")
    wait_status(tab, "notes.txt: not a video")
    tab.evaluate("end()")
    tab.wait_for_selector("#speed >> text=fake")
    wait_status(tab, "notes.txt: not a video")


def test_request_to_wait_goes_when_the_model_is_loaded(open_page):
    tab = press_while_the_model_loads(open_page)
    tab.evaluate("end()")
    wait_status(tab, "Ready")
    assert not tab.locator("#status.error").count()


def test_dragging_does_not_draw_the_frame_again(tab):
    tab.evaluate(
        """() => {
          const prototype = CanvasRenderingContext2D.prototype;
          const { putImageData } = prototype;
          window.drawn = 0;
          prototype.putImageData = function (...args) { window.drawn += 1; putImageData.apply(this, args); };
        }"""
    )
    press(tab, *((100 + 10 * index, 100 + 10 * index) for index in range(10)), (200, 103))
    assert tab.evaluate("drawn") == 0


def test_press_on_a_bar_is_ignored(tab, tmp_path):
    square = encode(tmp_path / "square.webm", "libvpx-vp9", np.full((2, 100, 100, 3), 90, np.uint8), rate=10)
    open_video(tab, square, "2 frames")
    view = take_screenshot(tab)
    press(tab, (20, 200))
    press(tab, (20, 200), (600, 400))
    assert tab.inner_text("#status") == "square.webm: 2 frames"
    assert take_screenshot(tab) == view
    mark(tab, (300, 200), (850, 400))  # ends on a bar
    (mask, *_) = download_masks(tab).values()
    assert mask.any()


def test_clicks_while_segmenting_are_queued(tab):
    tab.evaluate(
        """() => {
          const { segment } = model;
          window.waiting = [];
          model.segment = async (...args) => {
            await new Promise((end) => waiting.push(end));
            return segment(...args);
          };
        }"""
    )
    press(tab, (300, 200))
    press(tab, (320, 210))
    tab.wait_for_function("waiting.length === 1")
    assert tab.inner_text("#status") == "Segmenting…"
    tab.evaluate("waiting[0]()")
    tab.wait_for_function("waiting.length === 2")
    tab.evaluate("waiting[1]()")
    wait_status(tab, "Object 1 marked")
    tab.click("#undo")
    tab.click("#undo")
    assert tab.is_disabled("#undo")


def test_object_without_a_mask_is_named(tab, portrait):
    assert tab.inner_text("#absent") == ""
    open_video(tab, portrait)
    mark(tab, (150, 100), (200, 200))
    tab.click("#add")
    assert tab.inner_text("#absent") == "No mask on this frame: object 2"
    seek(tab, 1)
    assert tab.inner_text("#absent") == "No mask on this frame: object 1, 2"


def test_portrait_videos_have_a_model_of_their_shape(open_page, portrait):
    tab = open_page(FAKE_MODEL, PLAIN_SERVER, "model.load = async (folder, size) => size;")
    wait_status(tab, "Ready")
    assert tab.inner_text("#speed") == "240p"
    open_video(tab, portrait)
    assert tab.inner_text("#speed") == "240p-portrait"
    assert tab.evaluate("[view.width, view.height]") == [480, 854]
    box = tab.locator("#view").bounding_box()
    assert box["height"] <= 0.76 * 800
    assert box["width"] / box["height"] == pytest.approx(480 / 854, abs=0.01)
    tab.click("#undo")
    tab.wait_for_selector("#speed >> text=/^240p$/")
    assert tab.evaluate("[view.width, view.height]") == [854, 480]


def test_matte_is_transparent_beside_the_objects(tab, portrait):
    open_video(tab, portrait)
    mark(tab, (120, 107), (360, 507))
    tab.click("#track")
    wait_status(tab, "Tracked 5 frames")
    path = portrait.with_name("matte.webm")
    path.write_bytes(download(tab, "#matte"))
    assert path.name == "matte.webm"
    with av.open(str(path)) as video:
        stream = video.streams.video[0]
        decoder = av.CodecContext.create("libvpx-vp9", "r")  # FFmpeg's own decoder drops transparency
        frames = [frame for packet in video.demux(stream) for frame in decoder.decode(packet)]
    assert len(frames) == 6
    alpha = frames[-1].to_ndarray(format="rgba")[..., 3]
    assert alpha.shape == (800, 480)
    expected = np.zeros(alpha.shape, bool)
    expected[80:480, 120:360] = True
    assert iou(alpha > 127, expected) > 0.98


def test_undecodable_frame_named(tab):
    tab.evaluate(
        """() => {
          VideoDecoder.prototype.decode = () => { throw new Error('this frame is broken'); };
        }"""
    )
    tab.fill("#frame", "9")
    wait_status(tab, "sample.webm: frame 10 cannot be decoded (this frame is broken)")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(tab, scheme):
    drag_box(tab)
    tab.emulate_media(color_scheme=scheme)
    assert find_violations(tab) == []


@pytest.mark.parametrize("width", [390, 1280])
def test_controls_keep_their_places(tab, width):
    tab.set_viewport_size({"width": width, "height": 844})
    rows = tab.evaluate(
        """() => [...document.querySelectorAll('.row')].map(
          (row) => [...row.querySelectorAll(':scope > button')].map((button) => button.offsetHeight))"""
    )
    assert {height for row in rows for height in row} == {34}
    tops = tab.evaluate(
        """() => [[true, 'Ready'], [false, 'Tracking…'], [true, 'two lines '.repeat(7)]]
          .map(([hidden, text]) => {
            document.getElementById('progress').hidden = hidden;
            document.getElementById('status').textContent = text;
            return document.getElementById('track').offsetTop;
          })"""
    )
    assert len(set(tops)) == 1
    assert tab.evaluate("document.documentElement.scrollWidth") == width


def test_clicks_hit_their_pixels_in_a_small_window(tab):
    tab.set_viewport_size({"width": 390, "height": 844})
    mark(tab, (400, 300))
    rows, columns = np.nonzero(download_masks(tab)[0])
    scale = 480 / 854  # the sample has 854×480 pixels, the small view 374 columns
    assert abs(rows.mean() - 300) < 2 / scale
    assert abs(columns.mean() - 400) < 2 / scale


def test_focused_file_input_outlines_its_button(tab):
    tab.keyboard.press("Tab")  # the keyboard makes focus visible
    tab.focus("#file")
    assert tab.evaluate("getComputedStyle(document.querySelector('label.button')).outlineStyle") == "solid"


def test_masks_have_the_size_of_the_video(tab, portrait):
    open_video(tab, portrait, "portrait.webm: 6 frames")
    assert tab.input_value("#file") == ""  # browsers report a choice of the same file only then
    mark(tab, (120, 267), (360, 507))  # 4 pixels of the view a pixel, 27 rows of bars
    tab.click("#track")
    wait_status(tab, "Tracked 5 frames")
    masks = download_masks(tab)
    assert sorted(masks) == [0, 1, 2, 3, 4, 5]
    assert {mask.shape for mask in masks.values()} == {(200, 120)}
    spans = [(axis.min(), axis.max()) for axis in np.nonzero(masks[5])]
    np.testing.assert_allclose(spans, [(60, 119), (30, 89)], atol=1)


def test_masks_of_wide_pixels_have_the_size_of_the_frames(tab, tmp_path):
    path = tmp_path / "wide.mp4"
    with av.open(str(path), "w") as video:
        stream = video.add_stream("libvpx-vp9", rate=10)
        stream.width, stream.height, stream.pix_fmt = 120, 120, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(4, 3)
        video.mux(stream.encode(av.VideoFrame(120, 120, "yuv420p")))
        video.mux(stream.encode())
    tab.set_input_files("#file", path)
    wait_status(tab, "wide.mp4: 1 frame")
    mark(tab, (107, 0), (427, 240))  # 640×480 pixels of the view, 107 columns of bars
    (mask,) = download_masks(tab).values()
    assert mask.shape == next(iter(open_frames(path))).shape[:2]
    np.testing.assert_array_equal(mask, np.pad(np.ones((60, 60), int), (0, 60)))


def test_trimmed_frames_are_not_read(tab, tmp_path):
    """Frames that an edit list hides, as in a video that a phone has trimmed."""
    path = tmp_path / "trimmed.mp4"
    with av.open(str(build.SAMPLE)) as video, av.open(str(path), "w") as copy:
        source = video.streams.video[0]
        stream, start = copy.add_stream_from_template(source), round(0.5 / source.time_base)
        for packet in video.demux(source):
            if packet.pts is not None:
                packet.pts, packet.dts, packet.stream = packet.pts - start, packet.dts - start, stream
                copy.mux(packet)
    tab.evaluate("VideoDecoder.isConfigSupported = async () => ({ supported: true })")  # Chromium lacks H.264
    tab.set_input_files("#file", path)
    wait_status(tab, f"{len([*open_frames(path)])} frames")


@pytest.mark.parametrize("content", [b"no video", b"", "truncated"])
def test_unreadable_file_refused(tab, tmp_path, portrait, content):
    path = tmp_path / "notes.webm"
    path.write_bytes(portrait.read_bytes()[:300] if content == "truncated" else content)
    tab.set_input_files("#file", path)
    tab.wait_for_selector("#status.error")
    assert tab.inner_text("#status").startswith("notes.webm: ")


@pytest.mark.parametrize(
    ("scripts", "words"),
    [
        (["delete window.WebAssembly"], "WebAssembly is off"),
        (["delete window.VideoDecoder"], "no WebCodecs"),
        ([FAKE_MODEL, "VideoDecoder.isConfigSupported = async () => ({supported: false})"], "cannot decode vp09"),
        (
            ["const Real = Worker; window.Worker = class extends Real { constructor() { super('missing.js'); } }"],
            "Model 240p: cannot be loaded (worker.js: cannot be started); load it again",
        ),
        (
            [FAKE_MODEL, "Object.defineProperty(window, 'sessionStorage', { get() { throw new Error('denied'); } })"],
            "Ready",
        ),
    ],
)
def test_missing_feature_named_or_replaced(open_page, scripts, words):
    wait_status(open_page(*scripts), words)


FETCH = "const real = fetch; window.fetch = (url, ...rest) => url === 'sample.webm' ? ANSWER : real(url, ...rest)"
"""A script with another answer to requests for the sample."""


def test_missing_sample_named(open_page, portrait):
    failure = "Promise.reject(new TypeError('Failed to fetch'))"
    tab = open_page(FAKE_MODEL, PLAIN_SERVER, FETCH.replace("ANSWER", failure))
    tab.wait_for_selector("#speed >> text=fake")
    wait_status(tab, "sample.webm: cannot be fetched; open your own video")
    press(tab, (345, 135), (509, 297))
    wait_status(tab, "Open a video first")
    open_video(tab, portrait)
    mark(tab, (120, 267), (360, 507))


def test_sample_does_not_replace_an_opened_video(open_page, portrait):
    answer = "new Promise((resolve) => { window.answer = () => resolve(real(url)); })"
    tab = open_page(FAKE_MODEL, PLAIN_SERVER, FETCH.replace("ANSWER", answer))
    tab.wait_for_function("typeof answer === 'function'")
    tab.set_input_files("#file", portrait)
    wait_status(tab, "6 frames")
    tab.evaluate("answer()")
    wait_status(tab, "Ready")
    assert tab.inner_text("#position") == "1 / 6"


@pytest.mark.parametrize("size", ["240p", "480p"])
def test_speed_is_shown(open_page, site, size):
    """Printed by ``pytest packages/demo/tests -m slow -k speed -s``, see docs/howto/demo.md."""
    for name in {"240p", size}:
        if not (site / "models" / f"{name}.zip").is_file():
            build.export(name, site / "models" / f"{name}.zip")
    sent = Handler.sent
    tab = open_page()
    wait_status(tab, "Ready")
    sent = Handler.sent - sent
    if size != tab.input_value("#size"):
        tab.select_option("#size", size)
        wait_status(tab, "Ready")
    drag_box(tab)
    tab.click("#track")
    wait_position(tab, 11)
    tab.click("#cancel")
    speed = tab.inner_text("#speed")
    print(f"\n| {size} | {speed} | first load {sent / 1e6:.1f} MB | load of the machine {os.getloadavg()[0]:.1f} |")
    assert "frames/s" in speed
