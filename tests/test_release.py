"""Scripts that install and release, and workflows."""

import os
import platform
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from aotlab import __version__
from aotlab.configs.files import ROOT
from aotlab_testing.marks import needs_all_packages, needs_posix

pytestmark = needs_all_packages

WORKFLOWS = sorted((ROOT / ".github").glob("**/*.yml"))
CHANGELOG = """# Changes

## 1.10.0 (not released)

* not yet

## 1.1.0 (2026-12-01)

### Tracking

* faster

## 1.0.0 (2026-01-01)

* first
"""


def print_notes(tmp_path, version):
    (tmp_path / "CHANGELOG.md").write_text(CHANGELOG, encoding="utf-8")
    command = ["bash", ROOT / "scripts/release_notes.sh", version, tmp_path / "CHANGELOG.md"]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@needs_posix
def test_release_notes_are_the_section_of_the_version(tmp_path):
    done = print_notes(tmp_path, "1.1.0")
    assert (done.returncode, done.stdout.strip()) == (0, "### Tracking\n\n* faster")


@needs_posix
@pytest.mark.parametrize("version", ["1.10.0", "1.1", "2.0.0"])
def test_release_without_dated_section_is_refused(version, tmp_path):
    done = print_notes(tmp_path, version)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"error: CHANGELOG.md: no section '## {version} (DATE)'\n"


def test_version_has_a_section_of_changes():
    assert f"\n## {__version__} (" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


@needs_posix
def test_version_is_set_in_all_packages(tmp_path):
    projects = ("video", "studio", "compositing", "trackers", "runtime", "integrations/napari")
    names = (
        "src/aotlab/__init__.py",
        *(f"packages/{project}/pyproject.toml" for project in projects),
        "packages/runtime/src/aotlab_runtime/__init__.py",
        "packages/demo/tracker/package.json",
        "CITATION.cff",
    )
    for name in (*names, "scripts/version.sh"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    subprocess.run(["bash", tmp_path / "scripts/version.sh", "19.8.7"], check=True, timeout=60)
    for name in names:
        expected = (ROOT / name).read_text(encoding="utf-8").replace(__version__, "19.8.7")
        assert (tmp_path / name).read_text(encoding="utf-8") == expected
        assert "19.8.7" in expected


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_scripts_of_workflows_exist(path):
    text = path.read_text(encoding="utf-8")
    yaml.safe_load(text)
    for name in re.findall(r"(?:bash|python) ((?:scripts|packages/demo)/\w+\.\w+)", text):
        assert (ROOT / name).is_file(), name


@pytest.mark.slow
def test_workflows_pass_actionlint():
    actionlint = shutil.which("actionlint") or pytest.skip("actionlint is not installed")
    subprocess.run([actionlint, *(ROOT / ".github/workflows").glob("*.yml")], check=True)


FAKE_PYTHON = """#!/bin/sh
case "$*" in
*"import torch"*) exit 1;;
*urlopen*) exit $REACHABLE;;
esac
echo "$@" >>calls.txt
"""


@needs_posix
@pytest.mark.skipif(platform.system() != "Linux" or Path("/proc/driver/nvidia").exists(), reason="needs the CPU build")
@pytest.mark.parametrize(("reachable", "count"), [("0", 2), ("1", 1)], ids=["reachable", "unreachable"])
def test_set_up_prefers_the_cpu_build_of_torch(reachable, count, tmp_path):
    packages = [
        f"packages/{name}" for name in ("video[images,ocio]", "studio", "compositing", "trackers[vot]", "runtime")
    ]
    projects = [package.partition("[")[0] for package in packages]
    for name in ("pyproject.toml", "setup.py", *(f"{project}/pyproject.toml" for project in projects)):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(FAKE_PYTHON)
    python.chmod(0o755)
    command = ["bash", "-ec", f"source '{ROOT}/scripts/setup.sh'; set_up '[all]'"]
    subprocess.run(command, cwd=tmp_path, env={**os.environ, "REACHABLE": reachable}, check=True, timeout=60)
    calls = (tmp_path / "calls.txt").read_text().splitlines()
    assert len(calls) == count
    assert ("torch torchvision --index-url https://download.pytorch.org/whl/cpu" in calls[0]) == (count == 2)
    assert calls[-1].endswith(" ".join(f"--editable={project}" for project in (".[all]", *packages)))
