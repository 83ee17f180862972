"""The page's tracker in Node replays the recorded cases; types of the page's code."""

import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from aotlab.export.export import EXPORT
from aotlab.export.graphs import PROMPTING
from aotlab.utils.versioned_files import unwrap, wrap
from aotlab_runtime.segment import find_pixels_far_from_points
from aotlab_testing.drawn_clips import draw_parts
from aotlab_testing.processes import RUN_SECONDS, WAIT_SECONDS
from demo.build import LIBRARIES, describe_license
from runtime.tests.cases import CASES, MIN_EQUAL, read_cases
from runtime.tests.exports import STORED

DEMO = Path(__file__).parents[1]

pytestmark = pytest.mark.skipif(
    not (shutil.which("node") and (DEMO / "node_modules").is_dir()),
    reason="no Node or no packages (npm ci --prefix packages/demo)",
)


def replay_in_node(folder):
    """Return the shares of equal pixels by name of the case."""
    command = ["node", DEMO / "tests" / "track.mjs", folder, CASES]
    result = subprocess.run(command, check=True, timeout=RUN_SECONDS, capture_output=True, text=True)
    return json.loads(result.stdout)


def run_script(script, folder=None):
    """Run lines of JavaScript that import from SRC, the page's code, in Node; return what they print."""
    script = script.replace("SRC", (DEMO / "src").as_uri())
    command = ["node", "--input-type=module", "-e", script]
    result = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=WAIT_SECONDS, cwd=folder)
    return result.stdout


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """The runtime's stored export with a memory that the page supports."""
    folder = shutil.copytree(STORED, tmp_path_factory.mktemp("exports") / "aott")
    description = unwrap(EXPORT, json.loads((folder / "export.json").read_text()))
    description["memory"]["policy"] = "bounded_fifo"
    (folder / "export.json").write_text(json.dumps(wrap(EXPORT, description)))
    return folder


@pytest.mark.slow
def test_recorded_cases_are_replayed(exported):
    shares, prompts = replay_in_node(exported), read_cases()["prompts"]
    assert shares.keys() == {"one object", "three objects", *prompts}
    assert min(min(frames) for frames in shares.values()) >= MIN_EQUAL, shares


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
    "no settings": (lambda export: (export / "export.json").write_text('{"kind": "export", "version": 16}'),
        "export.json: damaged; export again"),
    "another version": (lambda export: (export / "export.json").write_text('{"kind": "export", "version": 6}'),
        "export.json: version 6, expected 16; export again"),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("case", DAMAGED_MODELS)
def test_damaged_models_rejected(exported, tmp_path, case):
    damage, message = DAMAGED_MODELS[case]
    shutil.copytree(exported, tmp_path / "export")
    damage(tmp_path / "export")
    with pytest.raises(subprocess.CalledProcessError) as raised:
        replay_in_node(tmp_path / "export")
    assert raised.value.stderr.startswith(message)
    assert raised.value.stderr.count("\n") == 1


def test_parts_of_prompted_masks_equal_runtime(tmp_path):
    masks = np.array([draw_parts(seed) for seed in range(4)])
    points = np.random.default_rng(0).uniform(-1, (854, 480), (len(masks), 5, 2))
    (tmp_path / "masks").write_bytes(masks.repeat(5, 0).tobytes())
    script = f"""
        import {{ readFileSync, writeFileSync }} from 'node:fs';
        import {{ removeFarFromPrompt }} from 'SRC/../tracker/prompts.js';
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


def test_mask_without_a_pixel_left_is_refined_in_the_whole_frame():
    script = """
        import { segmentPrompt } from 'SRC/../tracker/prompts.js';
        const sizes = [];
        const graphs = {
          promptSettings: PROMPTING,
          tokenSize: 16,
          tensor: (data, dims) => ({ dims }),
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
        const model = new Model('240p', () => {}, () => {});
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


def test_package_has_the_tracker_and_types(tmp_path):
    shutil.copytree(DEMO / "tracker", tmp_path / "tracker")
    path = f"{DEMO / 'node_modules' / '.bin'}{os.pathsep}{os.environ['PATH']}"
    (tmp_path / "node_modules").symlink_to(DEMO / "node_modules")
    command = ["npm", "pack", "--json", "--pack-destination", tmp_path]
    environment = {**os.environ, "PATH": path}
    packed = subprocess.run(
        command, cwd=tmp_path / "tracker", env=environment, capture_output=True, text=True, timeout=RUN_SECONDS
    )
    assert packed.returncode == 0, packed.stderr
    names = {entry["path"] for entry in json.loads(packed.stdout[packed.stdout.index("[") :])[0]["files"]}
    assert names >= {"index.js", "tracker.js", "prompts.js", "images.js", "types/index.d.ts", "README.md"}
    assert not {name for name in names if "page" in name}
    types = (tmp_path / "tracker" / "types" / "tracker.d.ts").read_text()
    assert "step(frame: Frame): Promise<Uint8Array>" in types
