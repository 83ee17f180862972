"""Exported folders: damaged ones, execution providers, imports."""

import ast
import hashlib
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

import aotlab
import aotlab_runtime
from aotlab.engine.export.export import EXPORT
from aotlab.utils.versioned_files import unwrap, wrap
from tests.engine.small_model import draw_texture

SOURCE = Path(aotlab_runtime.__file__).parent


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
    "another version": (
        lambda folder: rewrite(folder, version=9),
        r"version 9, this runtime reads 12\); run aotlab export",
    ),
    "no description": (
        lambda folder: (folder / "export.json").unlink(),
        r"export .export.json: [^/]*.; run aotlab export",
    ),
    "text": (lambda folder: (folder / "export.json").write_text("x"), "not a usable export"),
    "deep list": (lambda folder: (folder / "export.json").write_text("[" * 100_000), "not a usable export"),
    "list": (lambda folder: (folder / "export.json").write_text("[]"), "version None, this runtime reads 12"),
    "missing version": (lambda folder: (folder / "export.json").write_text("{}"), "missing 'version'"),
    "missing settings": (
        lambda folder: (folder / "export.json").write_text('{"version": 12}'),
        "missing 'config'",
    ),
    "changed settings": (
        lambda folder: rewrite(folder, network_size=[1, 1]),
        "changed or damaged since it was written",
    ),
    "outside": (lambda folder: rewrite(folder, sha256={"../x": ""}), "not a usable export"),
    "swapped graph": (
        lambda folder: shutil.copy(folder / "encode.onnx", folder / "decode.onnx"),
        "not a usable export .changed",
    ),
    "other weights": (
        lambda folder: (folder / "weights.bin").write_bytes(b"0"),
        "not a usable export .changed",
    ),
    "missing graph": (lambda folder: (folder / "propagate.onnx").unlink(), r"export .propagate.onnx: "),
}


@pytest.mark.parametrize("case", DAMAGED_FOLDERS)
def test_damaged_exports_rejected(exported, tmp_path, case):
    damage, message = DAMAGED_FOLDERS[case]
    shutil.copytree(exported[0], tmp_path / "export")
    damage(tmp_path / "export")
    with pytest.raises(aotlab_runtime.InputError, match=message) as raised:
        aotlab_runtime.Tracker.from_export(tmp_path / "export")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("provider", "message"),
    [
        ("nonsense", "provider nonsense: unknown; choose one of cpu, cuda, "),
        (["cpu"], "provider .'cpu'.: unknown; choose one of cpu, cuda, "),
        (np.array(["cpu", "cuda"]), "provider .'cpu' 'cuda'.: unknown; choose one of cpu, cuda, "),
        ("directml", "provider directml: not in this onnxruntime; install a variant that has it"),
    ],
)
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


def test_tensorrt_falls_back_to_cuda_then_cpu(exported, monkeypatch):
    session = Mock()
    session.get_providers.return_value = ["TensorrtExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "InferenceSession", Mock(return_value=session))
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["TensorrtExecutionProvider"])
    aotlab_runtime.Tracker.from_export(exported[0], provider="tensorrt")
    assert onnxruntime.InferenceSession.call_args.kwargs["providers"] == [
        "TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider",
    ]  # fmt: skip


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("RUNTIME_EXCEPTION : std::bad_alloc")])
def test_failure_of_onnxruntime_is_not_the_exports(exported, monkeypatch, error):
    monkeypatch.setattr(onnxruntime, "InferenceSession", Mock(side_effect=error))
    with pytest.raises(aotlab_runtime.InputError, match=r"aott: onnxruntime .* cannot load") as raised:
        aotlab_runtime.Tracker.from_export(exported[0])
    assert repr(error) in str(raised.value)


def test_runtime_imports_numpy_and_onnxruntime_only():
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) else []
            packages = {name.partition(".")[0] for name in names}
            assert packages <= {"aotlab_runtime", "numpy", "onnxruntime", *sys.stdlib_module_names}, path


def test_runtime_tracks_where_pytorch_cannot_be_imported(exported):
    script = f"""
        import sys
        sys.modules |= dict.fromkeys(("aotlab", "cv2", "PIL", "torch"))  # importing them raises ImportError
        import numpy as np
        from aotlab_runtime import Tracker
        tracker, frame = Tracker.from_export({str(exported[0])!r}), np.zeros((33, 49, 3), np.uint8)
        tracker.step(frame, np.eye(33, 49, dtype=int))
        assert tracker.step(frame).ids == (1,)"""
    subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=True, timeout=120)


def test_readme_lists_missing_names(exported):
    text = (SOURCE.parents[1] / "README.md").read_text("utf-8").partition("Not supported:")[2]
    listed = dict(re.findall(r"^\* `(Tracker|Prediction|Prompt)`: ([^*;]*)", text, re.MULTILINE))
    names = []
    for tracker, package in zip(exported[1:], (aotlab_runtime, aotlab), strict=True):
        objects = tracker, tracker.fresh().step(draw_texture(1)[0]), package.Prompt(points=(1, 1))
        # attributes of the instances too, such as those of vars(tracker)
        names.append([{name for name in dir(item) if name[0] != "_"} for item in objects])
    for kind, own, framework in zip(("Tracker", "Prediction", "Prompt"), *names, strict=True):
        assert framework - own == set(re.findall(r"`(\w+)`", listed[kind])), kind
