"""The seam between framework and studio: public names one way, nothing the other way."""

import ast
from pathlib import Path

import aotlab

ROOT = Path(__file__).resolve().parents[2]
FRAMEWORK = [path for path in (ROOT / "src" / "aotlab").iterdir() if path.is_dir()]


def imports(path):
    """Yield module and name of all imports of a file; the name is None for ``import module``."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, None) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.module or "", alias.name) for alias in node.names)


def test_studio_imports_public_names_only():
    private = [
        f"{path.name}: {module}.{name}"
        for path in (ROOT / "studio" / "src").rglob("*.py")
        for module, name in imports(path)
        if module.split(".")[0] == "aotlab"
        and (module != "aotlab" or (name is not None and name not in aotlab.__all__))
    ]
    assert private == []


def test_public_names_resolve():
    assert [name for name in aotlab.__all__ if not hasattr(aotlab, name)] == []


def test_framework_never_imports_the_studio():
    found = [
        str(path)
        for folder in FRAMEWORK
        for path in folder.rglob("*.py")
        for module, _ in imports(path)
        if module.split(".")[0] == "aotlab_studio"
    ]
    assert found == []
