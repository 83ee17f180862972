"""Commands answer before anything heavy is imported, and no process holds two copies of a module."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from aotlab.tools.main import COMMANDS

ROOT = Path(__file__).resolve().parents[2]
HEAVY = {
    "torch", "torchvision", "timm", "numpy", "cv2", "PIL", "scipy", "matplotlib", "av", "omegaconf", "yaml", "tqdm",
    "pycocotools", "tensorboard", "onnx", "onnxruntime", "safetensors",
}  # fmt: skip
OLD_NAMES = {"utils", "configs", "networks", "dataloaders", "evaluation", "engine", "tools"}
"""what the packages were called when they were installed at top level"""
REPORT = """
import atexit, json, sys
def report():
    modules = [(name, getattr(module, "__file__", None)) for name, module in list(sys.modules.items())
               if name != "__mp_main__"]  # multiprocessing's second name of __main__
    with open({path!r}, "w") as file:
        json.dump(modules, file)
atexit.register(report)
"""


SEVERAL = f"""
import json, sys
from aotlab.tools.main import main
for line in json.loads(sys.argv[1]):
    try:
        assert main(line) in (0, 2), line
    except SystemExit as left:
        assert left.code in (0, 2), line
    heavy = {{name.split(".")[0] for name in sys.modules}} & {HEAVY!r}
    assert not heavy, (line, heavy)
"""
"""runs command lines one after the other; an error for the first that imports something heavy"""


def modules_of(tmp_path, arguments, *, way="command"):
    """Names and files of the modules that a process has at its end; ``way``: as ``aotlab x`` or ``tools/x.py``."""
    path = tmp_path / "modules.json"
    (tmp_path / "sitecustomize.py").write_text(REPORT.format(path=str(path)))
    if way in ("command", "several"):
        one = "import sys; from aotlab.tools.main import main; sys.exit(main())"
        start = ["-c", one if way == "command" else SEVERAL]
    else:
        start, arguments = [str(ROOT / "tools" / f"{arguments[0]}.py")], arguments[1:]
    environment = {"PYTHONPATH": str(tmp_path), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    run = subprocess.run(
        [sys.executable, *start, *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert run.returncode in (0, 2), run.stderr
    assert "Traceback" not in run.stderr
    return dict(json.loads(path.read_text()))


def copies(modules):
    """Files of this project that are loaded under two names, and old names of its packages."""
    inside = str(ROOT)
    ours = [file for file in modules.values() if file and file.startswith(inside) and ".venv" not in file]
    return [*{file for file in ours if ours.count(file) > 1}, *(set(modules) & OLD_NAMES)]


def test_help_imports_nothing_heavy(tmp_path):
    lines = [["--help"], *([tool, "--help"] for tool in sorted(COMMANDS))]
    modules = modules_of(tmp_path, [json.dumps(lines)], way="several")
    assert {f"aotlab.tools.{tool}" for tool in COMMANDS} <= set(modules)
    assert copies(modules) == []


def test_every_tool_is_a_command():
    assert set(COMMANDS) == {path.stem for path in (ROOT / "tools").glob("*.py")} - {"__init__", "main"}


MISTYPED = [
    ["track", "gone.mp4", "--mask", "gone.png", "--output", "out"],
    ["track", "gone.mp4", "--mask", "gone.png", "--output", "out", "--checkpoint", "gone.safetensors"],
    ["track", "gone.mp4", "--mask", "gone.png", "--output", "out", "--config", "aotx"],
    ["eval", "--dataset", "davis2017", "--root", "gone", "--output", "out"],
    ["eval", "--dataset", "davis2018", "--output", "out"],
    ["eval", "--dataset", "folder", "--root", ".", "--output", "out", "--checkpoint", "gone.safetensors"],
    ["score", "--dataset", "davis2017", "--root", ".", "--results", "gone"],
    ["submit", "--dataset", "davis2017", "--root", ".", "--check", "gone.zip"],
    ["ensemble", "gone", "lost", "--output", "out"],
    ["train", "--config", "gone.yaml"],
    ["check_data", "gone"],
    ["export", "--checkpoint", "gone.safetensors", "--output", "out"],
]  # fmt: skip


def test_mistyped_path_imports_nothing_heavy(tmp_path):
    modules_of(tmp_path, [json.dumps(MISTYPED)], way="several")


@pytest.mark.slow
@pytest.mark.parametrize("way", ["command", "script"])
def test_modules_are_loaded_once(way, tmp_path):
    modules = modules_of(tmp_path, ["track", "--print-config"], way=way)
    assert "torch" in modules
    assert copies(modules) == []


def test_second_copies_are_found(tmp_path):
    both = {"__main__": str(ROOT / "tools/track.py"), "aotlab.tools.track": str(ROOT / "tools/track.py")}
    assert copies(both) == [str(ROOT / "tools/track.py")]
    assert copies({"engine": "/elsewhere/engine.py"}) == ["engine"]
