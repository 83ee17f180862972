"""The page's tracker, in Node, beside aotlab-runtime; types of the page's code."""

import hashlib
import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

import aotlab
from aotlab.engine.export.export import EXPORT
from aotlab.engine.export.graphs import PROMPTING
from aotlab.engine.prompting.network import NetworkSegmenter
from aotlab.utils.versioned_files import unwrap, wrap
from aotlab_runtime import Prompt, Tracker
from aotlab_runtime.prediction import resize
from aotlab_runtime.segment import find_pixels_far_from_points
from demo.build import LIBRARIES, describe_license
from runtime.tests.exports import STORED, load_stored
from tests.drawn_clips import draw_parts
from tests.engine.small_model import draw_stripes, draw_texture
from tests.processes import RUN_SECONDS, WAIT_SECONDS

DEMO = Path(__file__).parents[1]
HEIGHT, WIDTH = 120, 160

pytestmark = pytest.mark.skipif(
    not (shutil.which("node") and (DEMO / "node_modules").is_dir()),
    reason="no Node or no packages (npm ci --prefix demo)",
)


def track_in_node(folder, frames, mask, prompts, output):
    """Return labels T×H×W and a mask of each prompt N×H×W, without the pixels of object 2."""
    description = {"shape": frames.shape[:3], "prompts": prompts}
    output.with_suffix(".json").write_text(json.dumps(description))
    output.with_suffix(".rgb").write_bytes(frames.tobytes())
    output.with_suffix(".mask").write_bytes(mask.astype(np.uint8).tobytes())
    command = ["node", DEMO / "tests" / "track.mjs", folder, output.with_suffix(""), output]
    subprocess.run(command, check=True, timeout=RUN_SECONDS, stderr=subprocess.PIPE, text=True)
    labels = np.frombuffer(output.read_bytes(), np.uint8).reshape(-1, *mask.shape)
    return labels[: len(frames)], labels[len(frames) :]


def run_script(script, folder=None):
    """Run lines of JavaScript that import from SRC, the page's code, in Node; return what they print."""
    script = script.replace("SRC", (DEMO / "src").as_uri())
    command = ["node", "--input-type=module", "-e", script]
    result = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=WAIT_SECONDS, cwd=folder)
    return result.stdout


def make_prompt(positive=(), negative=(), box=None, mask=None):
    return {"positive": positive, "negative": negative, "box": box, "mask": mask}


def segment(tracker, frame, mask, prompt):
    """Return the mask of a prompt without the pixels of object 2, by aotlab-runtime."""
    points = [*prompt["positive"], *prompt["negative"]]
    labels = [1] * len(prompt["positive"]) + [0] * len(prompt["negative"])
    other_object, prompts = np.where(mask == 2, 2, 0), {9: Prompt(points, labels, prompt["box"])}
    return tracker.fresh().step(frame, other_object, prompts=prompts).labels == 9


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """The runtime's stored export with a memory that the page supports."""
    folder = shutil.copytree(STORED, tmp_path_factory.mktemp("exports") / "aott")
    description = unwrap(EXPORT, json.loads((folder / "export.json").read_text()))
    description["memory"] |= {"policy": "bounded_fifo", "every": 3}
    (folder / "export.json").write_text(json.dumps(wrap(EXPORT, description)))
    return folder


@pytest.mark.slow
def test_masks_equal_runtime(exported, tmp_path):
    folder = exported
    frames, mask = draw_texture(20, HEIGHT, WIDTH), draw_stripes([1, 2, 5], HEIGHT, WIDTH)
    prompts = [
        make_prompt(box=[30.5, 20, 60, 70]),
        make_prompt(positive=[[100, 60], [20.25, 30]], negative=[[80, 100]]),
        make_prompt(positive=[[50, 40]], box=[10, 10, 101, 91]),
    ]
    labels, segmented = track_in_node(folder, frames, mask, prompts, tmp_path / "output.bin")
    tracker = Tracker.from_export(folder, threads=1)
    expected = [tracker.step(frames[0], mask).labels, *(tracker.step(frame).labels for frame in frames[1:])]
    assert {1, 2, 5} <= set(np.unique(expected[1:]))
    assert min((np.array(expected) == labels).mean((1, 2))) >= 0.999
    for prompt, found in zip(prompts, segmented, strict=True):
        reference = segment(tracker, frames[0], mask, prompt)
        assert reference.any()
        assert (reference == found).mean() >= 0.999


@pytest.mark.slow
def test_corrected_masks_equal_pytorch(exported, tmp_path):
    """The runtime has no prompts with masks."""
    frame, mask = draw_texture(1, HEIGHT, WIDTH), draw_stripes([1, 2, 5], HEIGHT, WIDTH)
    earlier = (mask == 1).astype(int)
    prompts = [
        make_prompt(negative=[[20, 100]], mask=earlier.ravel().tolist()),
        make_prompt(positive=[[140, 60]], mask=earlier.ravel().tolist()),
    ]
    _, segmented = track_in_node(exported, frame, mask, prompts, tmp_path / "output.bin")
    segmenter = NetworkSegmenter(load_stored()[1].segmenter.load)
    for prompt, found in zip(prompts, segmented, strict=True):
        points = [*prompt["positive"], *prompt["negative"]]
        same_prompt = aotlab.Prompt(points, [int(bool(prompt["positive"]))], mask=earlier)
        expected = segmenter(frame[0], {9: same_prompt}, keep=np.where(mask == 2, 2, 0)) == 9
        assert expected.any()
        assert (expected == found).mean() >= 0.999


def change_policy(path):
    description = json.loads(path.read_text())
    description["memory"]["policy"] = "rmem"
    path.write_text(json.dumps(description))


def replace_graph(folder, content):
    (folder / "decode.onnx").write_bytes(content)
    path = folder / "export.json"
    description = json.loads(path.read_text())
    description["sha256"]["decode.onnx"] = hashlib.sha256(content).hexdigest()
    path.write_text(json.dumps(description))


DAMAGED_MODELS = {
    "missing graph": (lambda export: (export / "propagate.onnx").unlink(),
        "propagate.onnx: not in the model; export it again, with its prompt network"),
    "damaged weights": (lambda export: (export / "weights.bin").write_bytes(b"0"),
        "weights.bin: changed or damaged; export again"),
    "graph of another program": (lambda export: replace_graph(export, b"0"),
        "decode.onnx: onnxruntime cannot load it ("),
    "no description": (lambda export: (export / "export.json").write_text("{"), "export.json: damaged; export again"),
    "another policy": (lambda export: change_policy(export / "export.json"),
        "memory.policy: the page supports only bounded_fifo, without max_stored"),
    "no settings": (lambda export: (export / "export.json").write_text('{"kind": "export", "version": 15}'),
        "export.json: damaged; export again"),
    "another version": (lambda export: (export / "export.json").write_text('{"kind": "export", "version": 6}'),
        "export.json: version 6, expected 15; export again"),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("case", DAMAGED_MODELS)
def test_damaged_models_rejected(exported, tmp_path, case):
    damage, message = DAMAGED_MODELS[case]
    shutil.copytree(exported, tmp_path / "export")
    damage(tmp_path / "export")
    frames, mask = draw_texture(1, HEIGHT, WIDTH), draw_stripes([1], HEIGHT, WIDTH)
    with pytest.raises(subprocess.CalledProcessError) as raised:
        track_in_node(tmp_path / "export", frames, mask, [], tmp_path / "output.bin")
    assert raised.value.stderr.startswith(message)
    assert raised.value.stderr.count("\n") == 1


def test_parts_of_prompted_masks_equal_runtime(tmp_path):
    masks = np.array([draw_parts(seed) for seed in range(4)])
    points = np.random.default_rng(0).uniform(-1, (854, 480), (len(masks), 5, 2))
    (tmp_path / "masks").write_bytes(masks.repeat(5, 0).tobytes())
    script = f"""
        import {{ readFileSync, writeFileSync }} from 'node:fs';
        import {{ removeFarFromPrompt }} from 'SRC/prompts.js';
        const [masks, area] = [new Uint8Array(readFileSync('masks')), 480 * 854];
        {json.dumps(points.reshape(-1, 2).tolist())}.forEach((point, index) => {{
          const mask = masks.subarray(index * area, (index + 1) * area);
          const prompt = {{ positive: [point], negative: [], box: null }};
          removeFarFromPrompt(mask, {{ height: 480, width: 854 }}, prompt, {json.dumps(PROMPTING)});
        }});
        writeFileSync('kept', masks);"""
    run_script(script, tmp_path)
    kept = np.frombuffer((tmp_path / "kept").read_bytes(), bool).reshape(len(masks), 5, 480, 854)
    for mask, found, clicks in zip(masks, kept, points, strict=True):
        for click, mask_kept in zip(clicks, found, strict=True):
            far = find_pixels_far_from_points(mask, click[None], PROMPTING["max_part_distance"])
            np.testing.assert_array_equal(mask_kept, mask & ~far)


@pytest.mark.parametrize(
    ("box", "row", "column"), [((1001, 500, 2, 3), 112, 226), ((0, 0, 2, 2), 0, 0), ((1918, 1078, 2, 2), 240, 432)]
)
def test_small_box_draws_one_pixel(box, row, column):
    script = f"""
        import {{ drawPromptPlanes }} from 'SRC/prompts.js';
        const crop = {{ top: 0, left: 0, height: 1080, width: 1920 }};
        const planes = drawPromptPlanes({{ positive: [], negative: [], box: {list(box)} }}, crop, [241, 433], 5);
        console.log(planes.indexOf(1), planes.reduce((sum, value) => sum + value));"""
    assert run_script(script).split() == [str((2 * 241 + row) * 433 + column), "1"]


@pytest.mark.parametrize("align_corners", [False, True])
def test_resized_maps_equal_runtime(align_corners):
    for height, width in ((1, 2), (3, 1), (3, 4)):
        values = np.arange(height * width, dtype=np.float32).reshape(height, width) ** 2
        script = f"""
            import {{ resize }} from 'SRC/images.js';
            const map = Float32Array.from({values.ravel().tolist()});
            console.log(resize(map, [{height}, {width}], [5, 7], {str(align_corners).lower()}).join());"""
        found = np.array(run_script(script).split(","), float).reshape(5, 7)
        np.testing.assert_allclose(found, resize(values, (5, 7), align_corners), atol=1e-5)


def test_mask_without_a_pixel_left_is_refined_in_the_whole_frame():
    script = """
        import { segmentPrompt } from 'SRC/prompts.js';
        const sizes = [];
        const graphs = {
          promptSettings: PROMPTING,
          alignCorners: true,
          tokenSize: 16,
          runtime: { Tensor: class { constructor(type, data, dims) { this.dims = dims; } } },
          tensor: () => null,
          run: async (name, { image: { dims: [height, width] } }) => {
            sizes.push(`${width}x${height}`);
            const data = new Float32Array(height * width).fill(-3);
            return { logits: { data }, refined_logits: { data } };
          },
        };
        const [area, frame] = [150 * 100, { data: new Uint8Array(3 * 150 * 100), height: 100, width: 150 }];
        const prompt = { positive: [], negative: [[20, 20]], box: null, mask: new Uint8Array(area).fill(1) };
        const mask = await segmentPrompt(graphs, frame, prompt, new Uint8Array(area));
        console.log(sizes.join(), mask.includes(1));"""
    script = script.replace("PROMPTING", json.dumps(PROMPTING))
    assert run_script(script) == "150x100,150x100 false\n"


def test_outline_follows_the_borders_of_the_image():
    script = """
        import { drawOverlay } from 'SRC/labels.js';
        globalThis.ImageData = class { constructor(data) { this.data = data; } };
        const image = { data: new Uint8ClampedArray(4 * 5 * 4), width: 4, height: 5 };
        const red = drawOverlay(image, new Uint8Array(4 * 5).fill(1)).data.filter((_, index) => index % 4 === 0);
        console.log(Array.from(red, (value) => Number(value === 230)).join(' '));"""
    inner = np.pad(np.zeros((3, 2), int), 1, constant_values=1)
    np.testing.assert_array_equal(np.array(run_script(script).split(), int).reshape(5, 4), inner)


def test_changed_labels_are_not_those_downloaded():
    script = """
        import { LabelStore } from 'SRC/labels.js';
        const store = new LabelStore();
        store.set(0, new Uint8Array(4));
        const downloaded = new LabelStore(store.frames);
        const empty = new LabelStore();
        const before = [store.isContainedIn(downloaded), store.isContainedIn(empty), empty.isContainedIn(downloaded)];
        store.set(1, new Uint8Array(4));
        console.log(before.join(), store.isContainedIn(downloaded));"""
    assert run_script(script).split() == ["true,false,true", "false"]


def test_error_without_a_message_is_named():
    script = """
        import { describeError } from 'SRC/words.js';
        console.log([new RangeError(), new Error('full'), 70].map(describeError).join());"""
    assert run_script(script).split() == ["RangeError,full,70"]


def test_call_of_an_ended_worker_is_rejected():
    script = """
        import { Model } from 'SRC/model.js';
        globalThis.Worker = class extends EventTarget { terminate() {} };
        const model = new Model(() => {}, () => {});
        model.worker.dispatchEvent(Object.assign(new Event('error'), { message: 'out of memory' }));
        await model.call('step').catch((error) => console.log(error.message));"""
    assert run_script(script) == "worker.js: out of memory\n"


@pytest.mark.parametrize("name", LIBRARIES)
def test_licenses_have_their_texts(name):
    text = describe_license(DEMO / "node_modules" / name)
    assert "copyright" in text.lower()
    assert name != "onnxruntime-web" or "flatbuffers" in text  # a part of it


def test_types():
    command = [DEMO / "node_modules" / ".bin" / "tsc", "--project", DEMO]
    result = subprocess.run(command, capture_output=True, text=True, timeout=RUN_SECONDS)
    assert result.returncode == 0, result.stdout
