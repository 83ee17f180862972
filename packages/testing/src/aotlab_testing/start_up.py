"""Command lines in fresh processes, and the modules that they import."""

import subprocess
import sys

from aotlab.configs.files import ROOT
from aotlab_testing.processes import RUN_SECONDS

HEAVY = {
    "torch", "torchvision", "timm", "numpy", "pydantic", "cv2", "PIL", "scipy", "matplotlib", "av", "yaml", "tqdm",
    "pycocotools", "tensorboard", "onnx", "onnxruntime", "safetensors",
}  # fmt: skip
"""Modules that a command's help and checks of its paths do without."""
RUN_LINES = """
import json, sys
from aotlab.tools.main import main
for line in json.loads(sys.argv[1]):
    try:
        assert main(line) in (0, 2), line
    except SystemExit as left:
        assert left.code in (0, 2), line
    heavy = {name.split(".")[0] for name in sys.modules} & {*sys.argv[2:]}
    assert not heavy, (line, heavy)
"""
"""Runs command lines one after the other; an error for the first that imports one of the modules named after them."""


def run_code(tmp_path, code, *arguments):
    environment = {"PYTHONPATH": str(ROOT / "src"), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    command = [sys.executable, "-c", code, *arguments]
    options = {"cwd": tmp_path, "env": environment, "capture_output": True, "text": True, "timeout": RUN_SECONDS}
    done = subprocess.run(command, **options)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout
