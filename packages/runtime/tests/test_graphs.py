"""Graphs beside PyTorch; exported folders: damaged ones, execution providers, imports."""

import ast
import hashlib
import inspect
import json
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import onnxruntime
import pytest
import torch.nn.functional as F
from PIL import Image
from torch import nn

import aotlab
import aotlab_runtime
from aotlab.configs.files import ROOT
from aotlab.export.export import EXPORT, convert_to_onnx
from aotlab.export.graphs import Graph, build_graphs, build_prompt_graph
from aotlab.utils.versioned_files import unwrap, wrap
from aotlab_testing.marks import slow
from aotlab_testing.processes import RUN_SECONDS, run_python
from aotlab_testing.small_model import HEIGHT, WIDTH, draw_images, draw_stripes, draw_texture

SOURCE = Path(aotlab_runtime.__file__).parent
README, EXAMPLE = ROOT / "packages/runtime/README.md", ROOT / "packages/runtime/examples/track.py"
GRAPHS = ("encode", "assign_identities", "reference", "propagate", "memorize", "decode", "relevance", "prompt")


def build_graph(name, tracker):
    if name == "prompt":
        return build_prompt_graph(tracker.segmenter.load())
    return build_graphs(tracker.model, (HEIGHT, WIDTH), tracker.config.memory)[name]


def assert_equal_outputs(graph, run):
    """Compare what ``run`` returns for the example inputs of a graph with PyTorch's outputs."""
    results = run({name: tensor.numpy() for name, tensor in graph.inputs.items()})
    for name, expected in zip(graph.outputs, graph(*graph.inputs.values()), strict=True):
        # the sums of float32 products are ordered differently: 5.5e-3 on a Xeon with AVX-512 (prompt)
        np.testing.assert_allclose(results[name], expected, atol=1e-2 * float(expected.std()))


@pytest.mark.parametrize("name", GRAPHS)
def test_stored_graphs_equal_pytorch(exported, name):
    _, runtime, pytorch_tracker = exported
    graph = build_graph(name, pytorch_tracker)
    assert_equal_outputs(graph, lambda inputs: runtime.graphs.run(name, inputs))


def test_arrays_that_do_not_fit_together_rejected(exported):
    graphs, frame = exported[1].graphs, draw_texture(1)[0]
    features, ids = graphs.encode(frame), np.arange(1, 11, dtype=np.int32)
    id_embeddings = graphs.assign_identities(draw_stripes([1, 2]).astype(np.int32), ids)
    long, short = graphs.memorize(graphs.propagate_reference(features, id_embeddings), id_embeddings)
    tripled = {name: x.repeat(3, 1) for name, x in long.items() if name.endswith("value")}
    for call in (
        lambda: graphs.propagate(features, short | long | tripled),
        lambda: graphs.propagate(features, short | {name: x[:, :0] for name, x in long.items()}),
        lambda: graphs.segment_prompt(frame, np.ones((1, 2)), ids[:1], np.zeros((3, 3), np.float32), (33, 49)),
        lambda: graphs.assign_identities(draw_stripes([1, 2]).astype(np.int32), ids[1:]),
        lambda: graphs.encode([[1], [1, 2]]),
    ):
        with pytest.raises(aotlab_runtime.InputError, match=r"^graph (propagate|prompt|assign_identities|encode): "):
            call()


@pytest.mark.skipif(sys.platform != "linux", reason="reads the memory of the process from /proc")
def test_exhausted_memory_is_not_an_input_error(exported):
    script = f"""
        import resource
        import numpy as np
        from aotlab_runtime import Graphs
        graphs, frame = Graphs({str(exported[0])!r}, threads=1), np.zeros((6000, 6000, 3), np.uint8)
        pages = int(open("/proc/self/statm").read().split()[0])
        resource.setrlimit(resource.RLIMIT_AS, (resource.getpagesize() * pages + 200_000_000, -1))
        try:
            graphs.encode(frame)
        except MemoryError as error:
            print(error)"""
    result = run_python("-c", textwrap.dedent(script))
    assert result.stdout == "graph encode: too little memory; give smaller frames, or stop other programs\n", result


def assert_converted_graph_equals(graph):
    """Compare a graph in onnxruntime with the one in PyTorch; return the kinds of its operations."""
    converted = convert_to_onnx(graph)
    session = onnxruntime.InferenceSession(converted.SerializeToString())
    names = {node.name for node in session.get_inputs()}

    def run(inputs):
        results = session.run(None, {name: x for name, x in inputs.items() if name in names})
        return dict(zip(graph.outputs, results, strict=True))

    assert_equal_outputs(graph, run)
    return {node.op_type for node in converted.graph.node}


@pytest.mark.parametrize("name", ["encode", "propagate", *slow(*sorted({*GRAPHS} - {"encode", "propagate", "prompt"}))])
def test_converted_graphs_equal_pytorch(exported, name):
    assert_converted_graph_equals(build_graph(name, exported[2]))


@pytest.mark.slow
def test_converted_prompt_network_equals_pytorch(exported):
    graph = build_prompt_graph(exported[2].segmenter.load())
    graph.axes = {}  # fixed sizes are converted in a third of the time; test_presets.py has free ones
    assert_converted_graph_equals(graph)


def test_resizing_with_antialias_is_converted_to_products():
    def resize(_, image):
        return {"resized": F.interpolate(image, (8, 12), mode="bilinear", antialias=True)}

    graph = Graph(nn.Module(), resize, image=draw_images(1, 20, 17))
    assert "Resize" not in assert_converted_graph_equals(graph)


def rewrite(folder, **changes):
    path = folder / "export.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def damage_graph(folder, content=b"0"):
    """Change a graph and its digest, as a program that writes exports would."""
    (folder / "encode.onnx").write_bytes(content)
    path = folder / "export.json"
    description = unwrap(EXPORT, json.loads(path.read_text()))
    description["sha256"]["encode.onnx"] = hashlib.sha256(content).hexdigest()
    path.write_text(json.dumps(wrap(EXPORT, description)))


DAMAGED_FOLDERS = {
    "damaged graph": (damage_graph, "encode.onnx"),
    "another version": (lambda export: rewrite(export, version=9),
        r"version 9, this runtime reads 16\); run aotlab export"),
    "no description": (lambda export: (export / "export.json").unlink(),
        r"export .export.json: [^/]*.; run aotlab export"),
    "text": (lambda export: (export / "export.json").write_text("x"), "not a usable export"),
    "deep list": (lambda export: (export / "export.json").write_text("[" * 100_000), "not a usable export"),
    "list": (lambda export: (export / "export.json").write_text("[]"), "version None, this runtime reads 16"),
    "missing version": (lambda export: (export / "export.json").write_text("{}"), "missing 'version'"),
    "missing settings": (lambda export: (export / "export.json").write_text('{"version": 16}'), "missing 'sha256'"),
    "changed settings": (lambda export: rewrite(export, network_size=[1, 1]),
        "changed or damaged since it was written"),
    "outside": (lambda export: rewrite(export, sha256={"../x": ""}), "not a usable export"),
    "swapped graph": (lambda export: shutil.copy(export / "encode.onnx", export / "decode.onnx"),
        "not a usable export .changed"),
    "other weights": (lambda export: (export / "weights.bin").write_bytes(b"0"), "not a usable export .changed"),
    "missing graph": (lambda export: (export / "propagate.onnx").unlink(), r"export .propagate.onnx: "),
}  # fmt: skip


@pytest.mark.parametrize("case", DAMAGED_FOLDERS)
def test_damaged_exports_rejected(exported, tmp_path, case):
    damage, message = DAMAGED_FOLDERS[case]
    shutil.copytree(exported[0], tmp_path / "export")
    damage(tmp_path / "export")
    with pytest.raises(aotlab_runtime.InputError, match=message) as raised:
        aotlab_runtime.Tracker.from_export(tmp_path / "export")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(("provider", "message"), [
    ("nonsense", "provider nonsense: unknown; choose one of cpu, cuda, "),
    (["cpu"], "provider .'cpu'.: unknown; choose one of cpu, cuda, "),
    (np.array(["cpu", "cuda"]), "provider .'cpu' 'cuda'.: unknown; choose one of cpu, cuda, "),
    (("gpu", {}), "provider gpu: unknown; choose one of cpu, cuda, "),
    (("cpu", None), "provider cpu: its options must be a dict, got None"),
    ("directml", "provider directml: not in this onnxruntime; install a variant that has it"),
])  # fmt: skip
def test_unavailable_provider_rejected(exported, provider, message):
    with pytest.raises(aotlab_runtime.InputError, match=message):
        aotlab_runtime.Tracker.from_export(exported[0], provider=provider)


@pytest.mark.parametrize("folder", [None, 3, "no\0name", "missing"])
def test_unusable_folder_rejected(folder):
    with pytest.raises(aotlab_runtime.InputError, match=r"not a usable export .*; run aotlab export"):
        aotlab_runtime.Tracker.from_export(folder)


def test_folder_in_place_of_graphs_rejected():
    message = r"graphs exported: expected Graphs; use Tracker.from_export\(folder\)"
    with pytest.raises(aotlab_runtime.InputError, match=message):
        aotlab_runtime.Tracker("exported")


@pytest.mark.parametrize("threads", [-1, 0, 1.5, "2", 2**40, True])
def test_invalid_number_of_threads_rejected(exported, threads):
    with pytest.raises(aotlab_runtime.InputError, match=f"threads {threads}: must be a whole number from 1"):
        aotlab_runtime.Tracker.from_export(exported[0], threads=threads)


@pytest.mark.filterwarnings("ignore:Specified provider")
def test_dropped_provider_rejected(exported, monkeypatch):
    assert exported[1].graphs.providers == ["CPUExecutionProvider"]
    providers = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: providers)
    with pytest.raises(aotlab_runtime.InputError, match="provider cuda: onnxruntime cannot start it"):
        aotlab_runtime.Tracker.from_export(exported[0], provider="cuda")


@pytest.mark.parametrize(("provider", "expected"), [
    ("tensorrt", [("TensorrtExecutionProvider", {}), "CUDAExecutionProvider", "CPUExecutionProvider"]),
    (("cuda", {"device_id": 1}), [("CUDAExecutionProvider", {"device_id": 1}), "CPUExecutionProvider"]),
])  # fmt: skip
def test_provider_and_its_fallbacks_get_options(exported, monkeypatch, provider, expected):
    session, ((first, _), *_) = Mock(), expected
    session.get_providers.return_value = [first]
    monkeypatch.setattr(onnxruntime, "InferenceSession", Mock(return_value=session))
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [first])
    aotlab_runtime.Tracker.from_export(exported[0], provider=provider)
    assert onnxruntime.InferenceSession.call_args.kwargs["providers"] == expected


def test_failure_of_onnxruntime_is_not_the_exports(exported, monkeypatch):
    monkeypatch.setattr(onnxruntime, "InferenceSession", Mock(side_effect=RuntimeError("RUNTIME_EXCEPTION")))
    with pytest.raises(aotlab_runtime.InputError, match=r"export: onnxruntime .* cannot load") as raised:
        aotlab_runtime.Tracker.from_export(exported[0])
    assert str(raised.value).endswith("(cpu): RUNTIME_EXCEPTION")


def test_too_little_memory_to_load_is_not_an_input_error(exported, monkeypatch):
    monkeypatch.setattr(onnxruntime, "InferenceSession", Mock(side_effect=MemoryError))
    with pytest.raises(MemoryError):
        aotlab_runtime.Tracker.from_export(exported[0])


def test_documents_list_the_tensors_of_graphs(exported):
    text = (ROOT / "docs/reference/graphs.md").read_text("utf-8")
    rows = [re.split(r" *\| *", line.strip("| ")) for line in text.splitlines() if line.startswith("| `")]
    listed = {row[0].strip("`"): row[1:] for row in rows}
    for name in GRAPHS[:6]:
        session = exported[1].graphs._sessions[name]
        for column, nodes in zip(listed[name], (session.get_inputs(), session.get_outputs()), strict=True):
            names = {re.sub(r"_\d+(?=_|$)", "_N", node.name): node for node in nodes}
            assert {*re.findall(r"`(\w+)`", column)} == names.keys(), name
            for tensor, node in names.items():
                kind, shape = listed.get(tensor, ("float32", None))[:2]
                assert node.type == f"tensor({kind.replace('32', '') if kind == 'float32' else kind})", tensor
                assert shape is None or len(shape.split("×")) == len(node.shape), tensor


def test_runtime_imports_numpy_and_onnxruntime_only():
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) else []
            packages = {name.partition(".")[0] for name in names}
            assert packages <= {"aotlab_runtime", "numpy", "onnxruntime", *sys.stdlib_module_names}, path


def test_example_tracks_where_pytorch_cannot_be_imported(exported, tmp_path):
    (tmp_path / "exported").symlink_to(exported[0])
    (tmp_path / "frames").mkdir()
    for index, frame in enumerate(draw_texture(3)):
        Image.fromarray(frame).save(tmp_path / "frames" / f"{index}.jpg")
    Image.fromarray(draw_stripes([1, 2], dtype=np.uint8)).save(tmp_path / "mask.png")
    script = f"""import runpy, sys
sys.modules |= dict.fromkeys(("aotlab", "cv2", "torch"))  # importing them raises ImportError
runpy.run_path({str(EXAMPLE)!r})"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=RUN_SECONDS, cwd=tmp_path)
    masks = [np.asarray(Image.open(tmp_path / "masks" / f"{index}.png")) for index in range(3)]
    np.testing.assert_array_equal(masks[0], draw_stripes([1, 2]))
    assert set(np.unique(masks[1:])) == {0, 1, 2}


def test_readme_shows_the_example():
    _, _, code = EXAMPLE.read_text("utf-8").split('"""', 2)
    assert f"```python\n{code.strip()}\n```" in README.read_text("utf-8")


def test_readme_shows_the_methods_of_tracker():
    text = README.read_text("utf-8")
    members = {f"tracker.{name}" for name in vars(aotlab_runtime.Tracker) if name[0] != "_"} - {"tracker.from_export"}
    members |= {f"prediction.{name}" for name in ("ids", "logits", "labels", "probabilities", "confidence")}
    assert [name for name in members | {*aotlab_runtime.__all__, "Tracker.from_export"} if name not in text] == []


@pytest.mark.parametrize("function", [aotlab_runtime.Tracker.step, aotlab_runtime.Prompt])
def test_help_names_types_instead_of_expanding_them(function):
    assert len(str(inspect.signature(function))) < 200


def test_version_is_that_of_the_package():
    text = (SOURCE.parents[1] / "pyproject.toml").read_text("utf-8")
    assert f'version = "{aotlab_runtime.__version__}"' in text


@pytest.mark.slow
def test_standalone_command_of_readme_needs_only_pytest(tmp_path):
    for name in ("hypothesis", "torch", "aotlab"):
        (tmp_path / f"{name}.py").write_text("raise ModuleNotFoundError")
    words = re.search(r"`pytest (.*test_standalone.py)`", README.read_text("utf-8"))[1].split()
    options = ["-p", "no:hypothesispytest", "-p", "no:cacheprovider"]
    path = f"pythonpath={tmp_path} packages packages/runtime/src"
    result = run_python("-m", "pytest", *words, *options, "-o", path)
    assert result.returncode == 0, result.stdout


def test_documents_list_missing_names(exported):
    text = (ROOT / "docs/reference/exports.md").read_text("utf-8").partition("## Differences of aotlab-runtime")[2]
    listed = dict(re.findall(r"^\* `(Tracker|Prediction|Prompt)`: ([^*;]*)", text, re.MULTILINE))
    names = []
    for tracker, package in zip(exported[1:], (aotlab_runtime, aotlab), strict=True):
        objects = tracker, tracker.fresh().step(draw_texture(1)[0]), package.Prompt(points=(1, 1))
        # attributes of the instances too, such as those of vars(tracker)
        names.append([{name for name in dir(item) if name[0] != "_"} for item in objects])
    for kind, own, framework in zip(("Tracker", "Prediction", "Prompt"), *names, strict=True):
        assert framework - own == set(re.findall(r"`(\w+)`", listed[kind])), kind
