"""Imports between packages, here and in those on top, and the one function that opens images."""

import runpy
from graphlib import TopologicalSorter

import pytest

import aotlab
from aotlab import sdk
from aotlab.configs.files import ROOT
from aotlab_testing.imports import list_imports
from aotlab_testing.marks import needs_all_packages

LAYERS: list[tuple[str, ...]] = [
    ("utils",), ("configs",), ("media",), ("networks", "dataloaders"), ("evaluation",), ("prompting",), ("engine",),
    ("benchmark", "export"), ("tools",), ("research",),
]  # fmt: skip
"""Packages from left to right; those of one entry do not know each other."""
ALLOWED = {
    package: {other for layer in LAYERS[:index] for other in layer} | ({package} - {"tools"})
    for index, packages in enumerate(LAYERS)
    for package in packages
}
"""Package to the packages that it may import."""
ALLOWED["evaluation"] -= {"networks"}
ALLOWED["prompting"] -= {"dataloaders", "evaluation"}
PACKAGES = {"aotlab_compositing", "aotlab_studio", "aotlab_testing", "aotlab_trackers", "aotlab_video"}
"""Packages that stand on the framework, which does not know them."""
USERS_OF_THE_RUNTIME = ("export", "research", "tools")
"""Packages that may import `aotlab_runtime`: an export is run by it to be verified or quantized."""


def sources(package):
    return sorted((ROOT / package).rglob("*.py"))


def find_breaches(source, package):
    """Packages of ours that a source of ``package`` imports and may not; tools share aotlab.tools.cli alone."""
    names = [name.split(".") for name in list_imports(source)]
    if package == "tools":
        names = [name for name in names if name[:3] != ["aotlab", "tools", "cli"]]
    subpackages = {name[1] for name in names if name[0] == "aotlab" and len(name) > 1}
    outer = set() if package == "research" else {"research", *PACKAGES}
    if package not in USERS_OF_THE_RUNTIME:
        outer |= {"aotlab_runtime"}
    return (subpackages & set(ALLOWED)) - ALLOWED[package] | {name[0] for name in names} & outer


def module_name(path):
    """``aotlab.engine.tracking.tracker`` for a file; that of its folder for an ``__init__.py``."""
    return ".".join(("aotlab", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__")


def test_no_module_imports_itself_through_others():
    files = {module_name(path): path for package in ALLOWED for path in sources(package)}
    imports = {}
    for name, path in files.items():
        found = set(list_imports(path.read_text()))
        imports[name] = {other for other in found if other in files and other != name}
    TopologicalSorter(imports).prepare()  # a cycle is an error that lists its modules


@pytest.mark.parametrize("package", ALLOWED)
def test_imports_go_leftwards_only(package):
    files = {str(path.relative_to(ROOT)): path.read_text() for path in sources(package)}
    found = {path: find_breaches(text, package) for path, text in files.items()}
    assert found
    assert {path: names for path, names in found.items() if names} == {}


@pytest.mark.parametrize(("package", "source", "breach"), [
    ("networks", "import aotlab.evaluation.check_data", "evaluation"),
    ("networks", "def f():\n    from aotlab.engine.tracking.tracker import Tracker", "engine"),
    ("dataloaders", "if TYPE_CHECKING:\n    from aotlab.evaluation.label_scores import x", "evaluation"),
    ("evaluation", "from aotlab.networks.model import VOSModel", "networks"),
    ("engine", "import numpy, aotlab.tools.eval as e", "tools"),
    ("tools", "from aotlab.tools import train", "tools"),
    ("tools", "from research.speed.compare import main", "research"),
    ("engine", "from aotlab.tools.cli import parser", "tools"),
    ("engine", "from aotlab.export.graphs import build_graphs", "export"),
    ("engine", "import aotlab.benchmark.evaluator", "benchmark"),
    ("media", "from aotlab_studio.utils.files import write_json", "aotlab_studio"),
    ("engine", "from aotlab_video.runs.run import track", "aotlab_video"),
    ("benchmark", "from aotlab_trackers.sam import SamTracker", "aotlab_trackers"),
    ("engine", "import aotlab_runtime", "aotlab_runtime"),
    ("engine", "from aotlab_testing.small_model import build", "aotlab_testing"),
])  # fmt: skip
def test_breach_is_found(package, source, breach):
    assert find_breaches(source, package) == {breach}


@needs_all_packages
def test_integrations_import_public_names_only():
    public = {f"{module.__name__}.{name}" for module in (aotlab, sdk) for name in module.__all__} | {"aotlab.sdk"}
    paths = [path for path in (ROOT / "packages/integrations").glob("**/[!_]*.py") if "tests" not in path.parts]
    used = {str(path): {name for name in list_imports(path.read_text()) if name[:7] == "aotlab."} for path in paths}
    assert any(used.values())
    assert {path: names - public for path, names in used.items() if names - public} == {}


WHOLE_CHECKOUT = ("documents.py", "test_documents.py", "test_documents_run.py")
"""Tests that skip without all packages."""
STANDS_ON = runpy.run_path(str(ROOT / "scripts" / "test_alone.py"))["STANDS_ON"]


@needs_all_packages
def test_each_suite_can_run_alone():
    folders = {path.relative_to(ROOT / "packages").parts[0] for path in ROOT.glob("packages/**/tests/")}
    assert {*STANDS_ON} == {*folders, "framework"}


@needs_all_packages
@pytest.mark.parametrize("package", STANDS_ON)
def test_tests_import_packages_that_theirs_stands_on(package):
    known = {package, "testing", *STANDS_ON[package]}
    unknown = {"research", "tests"} - ({"tests"} if package == "framework" else set())
    for other in {*STANDS_ON, "testing"} - known:
        unknown |= {other, f"aotlab_{other}"}
    folder = ROOT / "tests" if package == "framework" else ROOT / "packages" / package
    paths = [path for path in folder.rglob("*.py") if "tests" in path.parts and path.name not in WHOLE_CHECKOUT]
    found = {str(path): {name.split(".")[0] for name in list_imports(path.read_text())} & unknown for path in paths}
    assert found
    assert {path: names for path, names in found.items() if names} == {}


def test_scoring_does_not_import_torch():
    for path in [*sources("evaluation"), *(ROOT / "dataloaders").glob("*.py")]:
        assert not [name for name in list_imports(path.read_text()) if name.startswith("torch")]


def test_one_function_opens_user_images():
    opening = [path for package in ALLOWED for path in sources(package) if "Image.open(" in path.read_text()]
    for package in ("compositing", "studio", "video"):
        opening += [path for path in sources(f"packages/{package}/src") if "Image.open(" in path.read_text()]
    assert opening == [ROOT / "media/images.py"]
