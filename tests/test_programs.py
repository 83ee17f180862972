"""Files that are started by their path, without ``PYTHONPATH``: their names, help, training, evaluation, a table."""

import json
import os
import shutil
import subprocess
import sys

import pytest
import yaml

from aotlab import load_model
from aotlab.configs.files import ROOT
from aotlab_testing import miniatures
from aotlab_testing.files import TINY_ENCODER
from aotlab_testing.marks import needs_posix
from aotlab_testing.processes import RUN_SECONDS
from tests.documents import FOLDERS, IGNORED_FOLDERS
from tests.engine.training.tiny_recipes import draw_sets, phase, write_recipe

SOURCES = [
    path
    for path in (*ROOT.glob("*.py"), *(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")))
    if IGNORED_FOLDERS.isdisjoint(path.relative_to(ROOT).parts)
]
PROGRAMS = [path for path in SOURCES if '\nif __name__ == "__main__":' in path.read_text(encoding="utf-8")]
STARTED_FOLDERS = {ROOT, *(path.parent for path in PROGRAMS)}
"""Folders that Python puts first on its path: those of programs, and the checkout for ``python -m``."""
TOOLS = sorted(path for path in PROGRAMS if path.parent == ROOT / "tools")
ENVIRONMENT = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "AOTLAB_DATA")}
ENVIRONMENT["OMP_NUM_THREADS"] = "1"


def run(*words, cwd):
    """Run a program in a folder, with the checkout found only by its installation; return its standard output."""
    options = {"cwd": cwd, "env": ENVIRONMENT, "capture_output": True, "text": True, "timeout": RUN_SECONDS}
    done = subprocess.run([str(word) for word in words], **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_no_file_beside_a_program_hides_a_module_of_python():
    files = [path for path in SOURCES if path.parent in STARTED_FOLDERS]
    packages = [path.parent for path in SOURCES if path.name == "__init__.py" and path.parent.parent in STARTED_FOLDERS]
    assert TOOLS
    assert [path for path in (*files, *packages) if path.stem in sys.stdlib_module_names] == []


@pytest.mark.parametrize("path", TOOLS, ids=lambda path: path.stem)
def test_tool_starts_in_the_checkout_and_elsewhere(path, tmp_path):
    for cwd, file in ((ROOT, path.relative_to(ROOT)), (tmp_path, path)):
        assert run(sys.executable, file, "--help", cwd=cwd).startswith("Usage: aotlab ")


def test_training_runs_by_its_file(tmp_path):
    recipe = write_recipe(tmp_path, draw_sets(tmp_path / "data"), "run", phase(steps=2))
    run(sys.executable, "tools/train.py", "--config", recipe, "--plugin", TINY_ENCODER, cwd=ROOT)
    steps = [json.loads(line).get("step") for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert {1, 2} <= {*steps}
    assert load_model(tmp_path / "run" / "video.safetensors")[1].name == "tiny"


def test_evaluation_runs_by_its_file(tmp_path):
    miniatures.make("davis2017", tmp_path / "datasets" / "DAVIS")
    output = run(sys.executable, ROOT / "tools" / "eval.py", "--dataset", "davis2017", cwd=tmp_path)
    scores = json.loads((tmp_path / "results" / "davis2017" / "scores.json").read_text())
    assert {*scores["sequences"]} == {"bear", "camel"}
    assert "J&F" in output


TABLE = {
    "title": "A drawn benchmark",
    "columns": {"J&F": "J&F"},
    "benchmarks": {"val": {"dataset": "davis2017", "root": "drawn"}},
    "models": {"bundled": {"checkpoints": ["aott_mini.safetensors"], "options": ["input.max_long_edge=160"]}},
    "rows": [{"model": "bundled", "benchmark": "val"}],
}


def reproduce(checkout, folder):
    """Forecast one table and run another in a folder by the script of a checkout; return what is printed."""
    miniatures.make("davis2017", folder / "drawn")
    (folder / "mine.yaml").write_text(yaml.safe_dump(TABLE))
    script = checkout / "scripts" / "reproduce.sh"
    return [run("bash", script, *words, cwd=folder) for words in (("bundled", "--dry-run"), ("mine.yaml",))]


@needs_posix
def test_script_reproduces_a_table_from_any_folder(tmp_path):
    checkout = tmp_path / "checkout"
    for part in ("scripts", ".venv/bin"):
        (checkout / part).mkdir(parents=True)
    shutil.copy(ROOT / "scripts" / "reproduce.sh", checkout / "scripts")
    (checkout / "scripts" / "setup.sh").write_text('set_up() { [ "$*" = "[all]" ]; }\n')
    program = checkout / ".venv" / "bin" / "aotlab"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m aotlab "$@"\n')
    program.chmod(0o755)
    forecast, table = reproduce(checkout, tmp_path)
    assert "bundled, pond: " in forecast
    assert "measured" in table
    assert (tmp_path / "results" / "tables" / "mine.md").is_file()


@needs_posix
@pytest.mark.slow
def test_script_installs_a_checkout_and_reproduces(checkout, environment, tmp_path, monkeypatch):
    copy = tmp_path / "copy"
    shutil.copytree(checkout, copy, symlinks=True)
    (copy / ".venv").symlink_to(environment)
    monkeypatch.setitem(ENVIRONMENT, "PIP_NO_INDEX", "1")
    monkeypatch.setitem(ENVIRONMENT, "PIP_NO_BUILD_ISOLATION", "0")  # pip reads it as: no isolation
    _, table = reproduce(copy, tmp_path)
    assert "measured" in table
    code = "import aotlab; print(aotlab.__file__)"
    assert run(environment / "bin" / "python", "-c", code, cwd=tmp_path).startswith(str(copy))
