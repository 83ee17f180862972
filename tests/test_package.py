"""The package as users install it: wheel, source distribution and checkout, with all libraries or the core's alone."""

import ast
import importlib
import inspect
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from unittest.mock import Mock

import pytest

import aotlab.sdk
import hubconf
from aotlab.configs.files import BUNDLED_CHECKPOINT, ROOT
from aotlab.utils.errors import EXTRAS, InputError, describe_missing_module, require_modules
from aotlab_testing.marks import slow
from aotlab_testing.processes import RUN_SECONDS, commit_all

PYTHON = Path("Scripts/python.exe" if os.name == "nt" else "bin/python")
TRACKS = """
import importlib.util, sys
import numpy as np
import aotlab
from aotlab import Tracker
from aotlab.configs.load import load_config
frame = np.zeros((64, 96, 3), np.uint8)
mask = np.zeros((64, 96), np.uint8)
mask[16:40, 24:56] = 7
tracker = Tracker.from_pretrained()
print("objects", tracker.step(frame, mask).ids, tracker.step(frame).labels.shape)
print("settings", load_config("r50_deaotl").name, load_config("configs/recipes/mini.yaml").name)
old = ("utils", "configs", "networks", "dataloaders", "evaluation", "engine", "tools")
print("old names", [name for name in old if importlib.util.find_spec(name)])
print("package", aotlab.__file__)
"""
SCRIPT = """
from pathlib import Path
import numpy as np
from aotlab import Prediction, Tracker
from aotlab.sdk import Video, read_videos
tracker = Tracker.from_pretrained()
prediction: Prediction = tracker.step(np.zeros((64, 96, 3), np.uint8))
videos: list[Video] = read_videos(Path("frames"), Path("masks"), ["a"])
tracker.no_such_method("of aotlab")
"""
PROMPTS = """
import numpy as np
from aotlab import Prompt, Tracker
Tracker.from_pretrained().prompt(np.zeros((64, 96, 3), np.uint8), {1: Prompt(box=(8, 8, 40, 40))})
"""
OPTIONAL = sorted({*EXTRAS, "resource"})


def run_isolated(*command, cwd, path=None):
    """A command's result, without this checkout on the path; ``path``: value of PYTHONPATH."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    if path is not None:
        environment["PYTHONPATH"] = str(path)
    options = {"cwd": cwd, "env": environment, "capture_output": True, "text": True, "timeout": RUN_SECONDS}
    return subprocess.run([str(part) for part in command], **options)


def build(source, folder):
    """Build the source distribution and the wheel of a project."""
    built = run_isolated(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, source, cwd=folder)
    assert built.returncode == 0, built.stdout[-2000:] + built.stderr[-2000:]


def without_links(checkout, copy):
    """A copy of a checkout in which links are text files, as git makes them on systems without links."""
    shutil.copytree(checkout, copy, symlinks=True)
    for link in (copy / "src" / "aotlab").iterdir():
        if link.is_symlink():
            target = os.readlink(link)
            link.unlink()
            link.write_text(target)
    return copy


@pytest.fixture(scope="module")
def distributions(checkout, tmp_path_factory):
    """Folder with the source distribution, and the wheel that was built from it."""
    folder = tmp_path_factory.mktemp("dist")
    build(checkout, folder)
    return folder


def install(environment, *what):
    options = ("--no-deps", "--no-index", "--no-build-isolation", "--quiet", "--ignore-installed")
    pip = (sys.executable, "-m", "pip", "--python", environment / PYTHON, "install", *options)
    done = run_isolated(*pip, *what, cwd=environment)
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.slow
@pytest.mark.parametrize("install_mode", ["wheel", "editable", "without links", "editable without links"])
def test_installed_package_tracks(install_mode, distributions, checkout, environment, tmp_path):
    """The wheel was built from the source distribution."""
    if "links" in install_mode:
        checkout = without_links(checkout, tmp_path / "copy")
    what = next(distributions.glob("*.whl")) if install_mode == "wheel" else checkout
    install(environment, *(["--editable"] if "editable" in install_mode else []), what)
    done = run_isolated(environment / PYTHON, "-c", TRACKS, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    objects, settings, old, package = done.stdout.splitlines()
    assert objects == "objects (7,) (64, 96)"
    assert settings == f"settings r50_deaotl {BUNDLED_CHECKPOINT.stem}"
    assert old == "old names []"
    assert str(checkout if "editable" in install_mode else environment) in package
    version = run_isolated((environment / PYTHON).with_name("aotlab"), "--version", cwd=tmp_path)
    assert version.stdout.startswith("aotlab ")


@pytest.mark.slow
def test_installed_package_keeps_its_commit(checkout, environment, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(checkout, copy, symlinks=True)
    commit = commit_all(copy)
    install(environment, copy)
    shutil.rmtree(copy)
    code = "from aotlab.utils.provenance import describe_versions; print(describe_versions()['commit'])"
    done = run_isolated(environment / PYTHON, "-c", code, cwd=tmp_path)
    assert (done.stdout.strip(), done.stderr) == (commit, "")


@pytest.mark.slow
def test_distributions_pass_twine(distributions):
    files = sorted(distributions.iterdir())
    assert [file.suffix for file in files] == [".whl", ".gz"]
    checked = run_isolated(sys.executable, "-m", "twine", "check", "--strict", *files, cwd=distributions)
    assert checked.returncode == 0, checked.stdout


@pytest.mark.slow
def test_links_of_the_description_are_absolute(distributions):
    with zipfile.ZipFile(next(distributions.glob("*.whl"))) as archive:
        (metadata,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        targets = re.findall(r"\]\(([^)]*)", archive.read(metadata).decode())
    assert targets
    assert [target for target in targets if not target.startswith("https://")] == []


@pytest.mark.slow
def test_source_distribution_omits_tests(distributions):
    with tarfile.open(next(distributions.glob("*.tar.gz"))) as archive:  # they need the whole checkout
        files = [name.split("/", 1)[-1] for name in archive.getnames()]
    assert "src/aotlab/media/images.py" in files
    assert not [name for name in files if "tests/" in name]


@pytest.mark.slow
@pytest.mark.parametrize("package", ["video", "studio", "compositing", "trackers", "runtime"])
def test_other_packages_ship_licenses_and_omit_tests(checkout, package, tmp_path):
    build(checkout / "packages" / package, tmp_path)
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as archive:
        (license_file,) = (name for name in archive.namelist() if name.endswith("licenses/LICENSE"))
        assert archive.read(license_file).split()[:2] == [b"Apache", b"License"]
    with tarfile.open(next(tmp_path.glob("*.tar.gz"))) as archive:
        assert not [name for name in archive.getnames() if "tests/" in name]


@pytest.fixture(scope="module")
def pyright():
    """Command of pyright; skips if it is missing or cannot be fetched."""
    command = (sys.executable, "-m", "pyright")
    if subprocess.run([*command, "--version"], capture_output=True, timeout=RUN_SECONDS).returncode != 0:
        pytest.skip("needs pyright")
    return command


def run_pyright(pyright, folder, python, rule):
    """Return pyright's messages of one rule on the files of a folder, without settings that name package folders."""
    settings = {"exclude": ["build", "tests"], "typeCheckingMode": "off", rule: "error"}
    (folder / "pyrightconfig.json").write_text(json.dumps(settings))
    done = run_isolated(*pyright, "--pythonpath", python, "--outputjson", cwd=folder)
    (folder / "pyrightconfig.json").unlink()
    found = json.loads(done.stdout)
    assert found["summary"]["filesAnalyzed"] > 0
    return [one["message"] for one in found["generalDiagnostics"] if one["rule"] == rule]


@pytest.mark.slow
@pytest.mark.parametrize("install_mode", ["wheel", "editable"])
def test_pyright_resolves_a_users_script(install_mode, pyright, distributions, checkout, environment, tmp_path):
    what = ["--editable", checkout] if install_mode == "editable" else [next(distributions.glob("*.whl"))]
    install(environment, *what)
    script = tmp_path / "user" / "script.py"
    script.parent.mkdir(parents=True)
    script.write_text(SCRIPT)
    python = environment / PYTHON
    assert run_pyright(pyright, tmp_path / "user", python, "reportMissingImports") == []
    (lost,) = run_pyright(pyright, tmp_path / "user", python, "reportAttributeAccessIssue")
    assert "no_such_method" in lost  # so the tracker's type is known


@pytest.mark.slow
def test_hub_folder_without_links_tracks(checkout, tmp_path):
    copy = without_links(checkout, tmp_path / "copy")
    path = f"{copy}{os.pathsep}{copy / 'src'}"
    done = run_isolated(sys.executable, "-c", f"import hubconf\n{TRACKS}", cwd=tmp_path, path=path)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.startswith("objects (7,) (64, 96)")
    assert str(copy) in done.stdout


def test_hub_checkout_precedes_an_installed_package(tmp_path):
    (tmp_path / "aotlab").mkdir()
    (tmp_path / "aotlab" / "__init__.py").touch()
    program = f"import sys; sys.path.append({str(ROOT)!r}); import hubconf, aotlab; print(aotlab.__file__)"
    done = run_isolated(sys.executable, "-c", program, cwd=tmp_path, path=tmp_path)
    assert done.stdout.startswith(str(ROOT)), done.stderr


PUBLIC = [aotlab, aotlab.sdk]


@pytest.mark.parametrize("module", PUBLIC, ids=lambda module: module.__name__)
def test_public_names_are_those_type_checkers_see(module):
    tree = ast.parse(Path(module.__file__).with_suffix(".pyi").read_text())
    imports = [node for node in tree.body if isinstance(node, ast.ImportFrom)]
    exported = {alias.asname: f"aotlab.{node.module}" for node in imports for alias in node.names}
    assert {*exported} == {*module.__all__} <= {*dir(module)}  # a stub exports NAME as NAME only
    for name, home in exported.items():
        assert getattr(module, name) is getattr(importlib.import_module(home), name)


def list_functions(value):
    """Return a function, or a class and its public methods, also of the class."""
    members = vars(value).items() if inspect.isclass(value) else ()
    methods = (getattr(member, "__func__", member) for name, member in members if name[0] != "_")
    return [value, *filter(inspect.isfunction, methods)]


def find_class_names(annotations):
    return {*re.findall(r"\b[A-Z]\w+", str(annotations))}


def test_parameters_have_types_that_callers_can_get():
    sources = (path.read_text() for path in (ROOT / "src" / "aotlab").glob("*/**/*.py"))
    defined = {name for source in sources for name in re.findall(r"^class (\w+)", source, re.MULTILINE)}
    values = [getattr(aotlab, name) for name in aotlab.__all__ if name not in ("InputError", "__version__")]
    signatures = {
        function.__qualname__: inspect.signature(function) for value in values for function in list_functions(value)
    }
    returned = find_class_names([signature.return_annotation for signature in signatures.values()])
    for name, signature in signatures.items():
        given = [entry.annotation for entry in signature.parameters.values() if entry.name[0] != "_"]
        hidden = find_class_names(given) & defined - {*aotlab.__all__, *aotlab.sdk.__all__} - returned
        assert hidden == set() or name in returned, name  # callers do not make what is returned to them


def test_only_names_of_models_and_training_load_torch(tmp_path):
    tree = ast.parse((ROOT / "src" / "aotlab" / "sdk.pyi").read_text())
    homes = {alias.name: node.module for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    torch = ("networks.", "engine.memory.", "engine.tracking.", "engine.training.", "utils.devices")
    others = [name for name, home in homes.items() if not home.startswith(torch)]
    code = f"import sys; from aotlab.sdk import {', '.join(others)}; assert 'torch' not in sys.modules"
    done = run_isolated(sys.executable, "-c", code, cwd=tmp_path, path=ROOT / "src")
    assert done.returncode == 0, done.stderr


def test_folders_beside_an_installed_package_are_ignored(tmp_path):
    (tmp_path / "aotlab").mkdir()
    for name in ("__init__.py", "__init__.pyi"):
        shutil.copy(ROOT / "src" / "aotlab" / name, tmp_path / "aotlab")
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "__init__.py").touch()
    done = run_isolated(sys.executable, "-c", "import aotlab.tools", cwd=tmp_path, path=tmp_path)
    assert "No module named 'aotlab.tools'" in done.stderr


def without_optional_libraries(folder):
    """Value of PYTHONPATH under which this checkout can be imported and no optional library."""
    text = f"import sys\nsys.modules.update(dict.fromkeys({OPTIONAL!r}))\n"
    (folder / "sitecustomize.py").write_text(text)
    return os.pathsep.join((str(folder), str(ROOT / "src")))


@pytest.mark.slow
def test_core_tracks_without_optional_libraries(tmp_path):
    done = run_isolated(sys.executable, "-c", TRACKS, cwd=tmp_path, path=without_optional_libraries(tmp_path))
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.startswith("objects (7,) (64, 96)")


NEEDED_EXTRAS = {
    "score --dataset davis2017 --root . .": "score",
    "check-data .": "score",
    "weights get aott": "weights",
    "convert-visor --annotations . --images . --output out": "score",
    "submit --dataset mose --root . --results . --output out.zip": "score",
    "export --config aott --output out": "export",
}
"""Command line to what it needs."""


@pytest.mark.parametrize("lines", [[*NEEDED_EXTRAS][:-1], *slow([*NEEDED_EXTRAS][-1:])])  # export loads PyTorch
def test_missing_extra_is_reported_in_one_sentence(tmp_path, lines):
    (tmp_path / "clip").mkdir()
    (tmp_path / "mask.png").touch()
    start = f"from aotlab.tools.main import main; print([main(line.split()) for line in {lines}])"
    done = run_isolated(sys.executable, "-c", start, cwd=tmp_path, path=without_optional_libraries(tmp_path))
    assert done.stdout == f"{[2] * len(lines)}\n", done.stderr
    for line, message in zip(lines, done.stderr.splitlines(), strict=True):
        assert f"must be installed for this; pip install 'aotlab[{NEEDED_EXTRAS[line]}]'" in message


@pytest.mark.slow
def test_prompt_without_opencv_names_the_extra(tmp_path):
    done = run_isolated(sys.executable, "-c", PROMPTS, cwd=tmp_path, path=without_optional_libraries(tmp_path))
    assert done.stderr.endswith("InputError: cv2 must be installed for this; pip install 'aotlab[score]'\n")


def test_dependencies_have_the_modules_of_the_package():
    project = pytest.importorskip("tomllib").loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    extras = project["project"]["optional-dependencies"]
    features = extras.keys() - {"all", "docs", "test"}
    extra_modules = {module: target for module, target in EXTRAS.items() if target.startswith("aotlab[")}
    assert {*extra_modules.values()} == {f"aotlab[{extra}]" for extra in features}
    modules = {
        "opencv-python-headless": "cv2", "Pillow": "PIL", "PyYAML": "yaml",
    }  # fmt: skip

    def list_modules(requirements):
        return [modules.get(name, name) for name in re.findall(r"'([\w.-]+)[>\[]", str(requirements))]

    assert hubconf.dependencies == list_modules(project["project"]["dependencies"])
    for extra in features:
        installed = [name for name in list_modules(extras[extra]) if name != "aotlab"]
        assert [module for module, target in extra_modules.items() if target == f"aotlab[{extra}]"] == installed


def test_missing_module_names_its_extra(monkeypatch):
    fail = Mock(side_effect=PackageNotFoundError("cv2"))
    monkeypatch.setattr("importlib.metadata.distribution", fail)
    require_modules("scipy", "cv2")
    with pytest.raises(InputError, match=r"^absent must be installed for this$"):
        require_modules("absent")
    found = describe_missing_module("scipy.optimize")
    assert found == "scipy must be installed for this; pip install 'aotlab[train]'"
    assert describe_missing_module("aotlab.nowhere") is None
    monkeypatch.setitem(EXTRAS, "lab", "./packages/lab[all]")
    assert describe_missing_module("lab.x").endswith("; pip install './packages/lab[all]' in a checkout")
