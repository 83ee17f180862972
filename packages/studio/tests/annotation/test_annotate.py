"""The annotate command, the page's files, results of a job opened as a project."""

import re
import shutil
import signal
import socket
import threading
from contextlib import closing
from dataclasses import replace
from functools import partial
from itertools import cycle, islice
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from aotlab import InputError, TrackerOptions, write_mask
from aotlab.configs.files import BUNDLED_CHECKPOINT, ROOT
from aotlab.networks.weights.checkpoints import save_checkpoint
from aotlab.sdk import load_plugins
from aotlab_studio import annotate as cli
from aotlab_studio.batch.clips import find_clips
from aotlab_studio.document.folder import digest_output, read_results
from aotlab_studio.server.guard import TOKEN_FILE
from aotlab_studio.session.actions import Describe
from aotlab_studio.session.export import export_masks
from aotlab_studio.session.opening import open_document
from aotlab_studio.tracking.models import TrackerLoader
from aotlab_testing.drawn_clips import write_plain
from aotlab_testing.marks import needs_posix, slow
from aotlab_testing.processes import WAIT_SECONDS, read_line, run_python, start_python, wait_for_event
from aotlab_testing.small_model import build, draw_stripes, draw_texture
from aotlab_video import ObjectClasses, VideoInfo, digest_video, find_mask_writer, read_annotations
from studio.tests.annotation.clips import annotate_labels, draw_folder
from studio.tests.annotation.results import change_record, store_results
from studio.tests.annotation.sessions import list_labels, list_tracked_frames, set_mask

PAGE = ROOT / "packages" / "studio" / "src" / "aotlab_studio" / "page"


@pytest.fixture
def video(tmp_path):
    return draw_folder(tmp_path / "clip")


@pytest.mark.parametrize(("options", "words"), [
    (["none.mp4"], "none.mp4: no such file or folder"),
    (["{video}", "--segmenter", "a.onnx,b.onnx"], "a.onnx: no such file"),
    (["{video}", "--checkpoint", "none.safetensors"], "none.safetensors: no such checkpoint"),
    (["{video}", "--host", "192.0.2.1"], "give an address of this machine, such as 127.0.0.1"),
    (["{video}", "--host", "999.1.1.1"], "give an address of this machine, such as 127.0.0.1"),
    (["{video}", "--host", "999.1.1.1"], "host 999.1.1.1: cannot listen there"),
    (["{video}", "--host", "é" * 70], "give an address of this machine, such as 127.0.0.1"),
    (["{video}", "--port", "{port}"], "choose another port"),
    (["{video}", "memory.evry=1"], "unknown key memory.evry; did you mean memory.every?"),
    (["{video}", "model.depth=3"], "model.depth: aot has no such setting"),
    (["{video}", "--device", "cuda:99"], "device cuda:99: not usable here"),
    (["{video}", "--classes", "none.yaml"], "none.yaml: not readable"),
])  # fmt: skip
def test_invalid_options_rejected(video, options, words, capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert cli.main([option.format(video=video, port=port) for option in options]) == 2
    assert words in capsys.readouterr().err
    assert not video.with_name(f"{video.name}.aotlab").exists()


def test_classes_of_a_file_are_offered(video, tmp_path, never_served, monkeypatch):
    (tmp_path / "classes.yaml").write_text("- {name: dog, color: '#ff0000', key: d}\n- name: cat\n")
    offered, build_app = [], cli._build_app

    def build(name, open_video, *values):
        with closing(open_video(name)) as session:
            offered.extend(rule.name for rule in Describe().run(session).schema)
        return build_app(name, open_video, *values)

    monkeypatch.setattr(cli, "_build_app", build)
    assert cli.main([str(video), "--classes", str(tmp_path / "classes.yaml"), "--no-browser"]) == 0
    assert offered == ["dog", "cat"]


def test_given_segmenters_are_offered_before_the_bundled_one(monkeypatch):
    monkeypatch.setattr("aotlab.sdk.load_segmenter", lambda source, device: lambda frame, prompts: source)
    pairs = [(Path(folder, "encoder.onnx"), Path(folder, "decoder.onnx")) for folder in "ab"]
    segmenters = cli._load_segmenters(["sam2.1_hiera_tiny", *pairs], "cpu")
    assert [*segmenters][:2] == ["sam2.1_hiera_tiny", "encoder"]
    assert [*segmenters][3:] == ["bundled"]
    assert [segmenter(None, {}) for segmenter in segmenters.values()] == ["sam2.1_hiera_tiny", *pairs, None]


def test_settings_are_shown_with_memory_bounded(capsys):
    assert cli.main(["--print-config", "--config", "aotl"]) == 0
    assert "policy: rmem" in capsys.readouterr().out


def test_address_is_printed_with_a_warning_for_other_hosts(video, capsys, never_served):
    assert cli.main([str(video), "--no-browser", "--host", "0.0.0.0"]) == 0
    captured = capsys.readouterr()
    assert "clip: 12 frames, masks in" in captured.out
    assert "/?token=" in captured.out
    assert "warning: --host 0.0.0.0" in captured.err
    assert cli.main([str(video), "--no-browser"]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    assert re.search(r"open http://127\.0\.0\.1:\d+/\?token=\S{20,}", captured.out)


def test_token_is_not_on_the_browsers_command_line(video, capsys, monkeypatch, never_served):
    opened, looked = [], threading.Event()

    def look(url):
        file = Path(url.removeprefix("file://"))
        opened.append((url, file.stat().st_mode & 0o777, file.read_text()))
        looked.set()

    monkeypatch.setattr("webbrowser.open", look)
    monkeypatch.setattr("aotlab_studio.server.app.Server.run_on_socket", lambda self: wait_for_event(looked))
    assert cli.main([str(video)]) == 0
    ((url, mode, page),) = opened
    address = re.search(r"http://\S+token=\S+", capsys.readouterr().out)[0]
    assert "token" not in url
    assert mode == 0o600
    assert address in page
    assert not Path(url.removeprefix("file://")).exists()


PLUGIN = """
from studio.tests.annotation.trackers import TruthTracker

class Loader:
    settings = ("memory.every",)

    def __init__(self, checkpoint, settings, device):
        self.made_by = {"tracker": checkpoint, "settings": settings}

    def fingerprint(self, digests=None):
        return self.made_by

    def load(self):
        return TruthTracker()

trackers = {"plain": Loader}
"""


def test_chosen_model_is_loaded_and_kept():
    bundled = BUNDLED_CHECKPOINT
    loading = TrackerLoader(TrackerOptions(bundled, overrides=("memory.policy=first_frame",)))
    assert loading.chosen == "bundled"
    assert "/" not in "".join(loading.models)
    first = loading()
    assert loading() is first
    assert first.tracker.config.memory.policy == "first_frame"


def test_memory_is_bounded_after_300_frames(tmp_path):
    save_checkpoint(tmp_path / "aotl.safetensors", *build("aotl"))
    tracker = TrackerLoader(TrackerOptions(tmp_path / "aotl.safetensors")).load_fresh().tracker
    for index, frame in enumerate(islice(cycle(draw_texture(5)), 300)):
        tracker.step(frame, draw_stripes([1, 2]) if index == 0 else None)
    assert len(tracker.state.groups[0].memory) == 9


def test_model_of_a_plugin_is_named_by_its_fingerprint(tmp_path, monkeypatch):
    monkeypatch.setattr("aotlab.utils.plugins._loaded_files", {})  # unloads the file at the end
    (tmp_path / "plain.py").write_text(PLUGIN)
    load_plugins([tmp_path / "plain.py"])
    options = TrackerOptions("plain", device="cpu")
    names = [
        TrackerLoader(replace(options, overrides=(f"memory.every={every}",))).load_fresh().model for every in (2, 3, 2)
    ]
    assert names[0] == names[2] != names[1]
    assert re.fullmatch(r"plain, settings \w{16}, aotlab \S+", names[0])


@pytest.mark.parametrize("options", ["", "overrides=('input.scale=0.5',), device='cpu'"])
def test_page_is_served_before_pytorch_is_loaded(video, options):
    code = (
        "import sys; from aotlab import TrackerOptions; from aotlab_studio import annotate; "
        "from aotlab_studio.server import app as server; from aotlab_studio.tracking.models import TrackerLoader; "
        f"session = annotate.open_session({str(video)!r}, TrackerLoader(TrackerOptions({options}))); "
        "app = server.build_app(lambda _: session); "
        "server.Server(app, server.bind_socket('127.0.0.1', 0)); print('torch' in sys.modules)"
    )
    assert run_python("-c", code).stdout == "False\n"


def test_page_is_small_and_loads_from_its_server_only():
    files = sorted(PAGE.iterdir())
    assert sum(path.stat().st_size for path in files) < 300_000
    for path in files:
        addresses = re.findall(r"https?://[^\s'\"`]+", path.read_text(encoding="utf-8"))
        assert [url for url in addresses if not url.startswith("http://www.w3.org/")] == []


INTERRUPTED_PROGRAM = """
import atexit, os, time
from aotlab.tools.main import main
from aotlab_studio.tracking.models import TrackerLoader

def preload(self):
    start(self)
    print("loading", flush=True)
    if os.environ["SIGNAL"]:
        os.kill(os.getpid(), int(os.environ["SIGNAL"]))

TrackerLoader.__call__ = lambda self: time.sleep(300)
start, TrackerLoader.preload = TrackerLoader.preload, preload
atexit.register(print, "threads were waited for")
raise SystemExit(main())
"""


@needs_posix
@pytest.mark.parametrize(("number", "status"), [*slow((signal.SIGTERM, 143)), (signal.SIGINT, 130)])
@pytest.mark.parametrize("serving", [True, *slow(False)])
def test_program_ends_at_once_while_a_model_loads(tmp_path, number, status, serving):
    frames = tmp_path / "clip"  # the project lies beside it, so that it is not that of another case
    frames.mkdir()
    Image.new("RGB", (32, 24)).save(frames / "00000.png")
    env = {"SIGNAL": "" if serving else str(int(number))}
    page = start_python("-c", INTERRUPTED_PROGRAM, "annotate", frames, "--no-browser", env=env)
    assert "loading\n" in iter(partial(read_line, page), "")
    if serving:
        page.send_signal(number)
    assert page.communicate(timeout=WAIT_SECONDS) == ("", "interrupted\n" if status == 130 else "")
    assert page.returncode == status


LENGTH = 3
VIDEO = VideoInfo("clip", (32, 48), LENGTH)


def truth(index):
    mask = np.zeros((32, 48), np.uint8)
    mask[8:20, 4 + index : 20 + index] = 1
    mask[10:20, 30:44] = 7
    return mask


def annotations(*frames):
    return annotate_labels({index: truth(index) for index in frames}, {1: "cell", 7: "cell"})


def write_job(tmp_path, **changes):
    """Write what tracking a clip with a CVAT mask would; return the folder of results."""
    write_plain(tmp_path / "clip", LENGTH)
    folder = tmp_path / "out" / "clip"
    find_mask_writer("cvat").write(tmp_path / "clip.xml", annotations(0), VIDEO)
    values = {"classes": ObjectClasses(annotations(0).class_names), "masks": [str(tmp_path / "clip.xml")]}
    store_results(folder, tmp_path / "clip", {index: truth(index) for index in range(LENGTH)}, **values)
    change_record(folder, **changes)
    return folder


def test_corrected_results_keep_their_classes(tmp_path):
    folder = write_job(tmp_path)
    with closing(open_document(folder)) as state:
        assert [(item.id, item.name) for item in state.snapshot.objects.values()] == [(1, "cell"), (7, "cell")]
        np.testing.assert_array_equal(list_labels(state), [truth(index) for index in range(LENGTH)])
        assert (state.snapshot.drawn_frames, list_tracked_frames(state.snapshot)) == ([0], [0, 1, 2])
        fixed = np.zeros((32, 48), bool)
        fixed[2:6, 2:6] = True
        set_mask(state, 2, 7, fixed)
        export_masks(state.frames, state.snapshot, tmp_path / "export", ["cvat"], first=0, last=LENGTH - 1)
        exported = read_annotations(tmp_path / "export" / "cvat.xml", VideoInfo.from_source(state.frames.source))
        assert exported.class_names == {1: "cell", 7: "cell"}
        np.testing.assert_array_equal(exported.mask(2) == 7, fixed)
        np.testing.assert_array_equal(exported.mask(1), truth(1))
    with closing(open_document(folder)) as reopened:
        np.testing.assert_array_equal(reopened.snapshot.labels(2) == 7, fixed)


@pytest.mark.parametrize(("video", "words"), [
    ("clip", "results without masks; track the video again"),
    ("gone", "its video is missing, at .*gone and next to the results"),
])  # fmt: skip
def test_unusable_results_do_not_create_a_project(tmp_path, video, words):
    folder = write_job(tmp_path, video=str(tmp_path / video))
    shutil.rmtree(folder / "masks")
    with pytest.raises(InputError, match=words):
        open_document(folder)
    assert not (tmp_path / "out" / "clip.aotlab").exists()


def test_unusable_results_keep_a_foreign_folder(tmp_path):
    folder = write_job(tmp_path)
    shutil.rmtree(folder / "masks")
    notes = folder.with_name(f"{folder.name}.aotlab") / "notes.txt"
    notes.parent.mkdir()
    notes.write_text("mine")
    with pytest.raises(InputError, match="results without masks; track the video again"):
        open_document(folder)
    assert notes.read_text() == "mine"


def test_results_of_one_video_are_not_a_list(tmp_path):
    folder = write_job(tmp_path)
    for name in ("masks", "prompt_masks"):
        write_mask(folder / name / "00000.png", truth(0))
    (folder / "overlay.mp4").write_bytes(b"")
    assert find_clips(folder) == []


def test_results_of_a_replaced_video_rejected(tmp_path):
    video = tmp_path / "clip"
    folder = write_job(tmp_path)
    change_record(folder, inputs={"video": {"name": "clip", **digest_video(video)}})
    Image.new("RGB", (48, 32), (200, 0, 0)).save(video / "00001.png")
    with pytest.raises(InputError, match="has other content than the tracked one"):
        open_document(folder)
    Image.new("RGB", (48, 32), (40, 90, 41)).save(video / "00001.png")
    open_document(folder).close()


def test_other_paths_are_not_results(tmp_path):
    folder = write_job(tmp_path)
    assert read_results(tmp_path / "clip") is None
    assert read_results(tmp_path / "clip.xml") is None
    (folder / "results.json").write_text("[]")  # of another program
    assert read_results(folder) is None
    assert digest_output(folder) == ""
    (folder / "results.json").write_text("{")
    with pytest.raises(InputError, match=r"results\.json: not readable"):
        read_results(folder)


@needs_posix
def test_restart_keeps_the_link_in_a_private_file(video, capsys, never_served):
    def read_link():
        assert cli.main([str(video), "--no-browser"]) == 0
        return re.search(r"token=(\S+)", capsys.readouterr().out)[1]

    token = read_link()
    assert read_link() == token
    path = video.with_name(f"{video.name}.aotlab") / TOKEN_FILE
    assert (path.read_text(), path.stat().st_mode & 0o777) == (token, 0o600)
    path.chmod(0o644)  # others may have read it
    changed = read_link()
    assert changed != token
    assert (path.read_text(), path.stat().st_mode & 0o777) == (changed, 0o600)
    other = video.with_name("other")
    other.write_text(changed)
    path.unlink()
    path.symlink_to(other)
    assert read_link() != changed
    assert other.read_text() == changed
