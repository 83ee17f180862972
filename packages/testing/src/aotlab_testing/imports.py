"""Imports of a source, and those that the packages of this project allow each other."""

import ast
from functools import cache

import aotlab
from aotlab import sdk

SHARED = ("aotlab.utils.", "aotlab.media.", "aotlab.tools.cli.", "aotlab_video.commands.options.")
"""Beginnings of the modules that packages of the same version import besides public names."""


@cache
def list_imports(source):
    """Full names of all modules that a source imports anywhere, also inside functions."""
    names = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"line {node.lineno}: a relative import"
            names += [str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)]
    return names


def find_private_names(source, own, *packages):
    """Names of other packages of this project that a source imports or uses and may not.

    Args:
        source: text of a module of the package ``own``.
        packages: packages that it stands on besides `aotlab`, with their public names.
    """
    public = {"aotlab.sdk"}
    for module in (aotlab, sdk, *packages):
        public |= {module.__name__, *(f"{module.__name__}.{name}" for name in module.__all__)}
    nodes = list(ast.walk(ast.parse(source)))
    aliases = [alias for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    bound = {alias.asname or alias.name: alias.name for alias in aliases if alias.name.startswith("aotlab")}
    used = {name for name in list_imports(source) if name.startswith("aotlab")}
    for node in nodes:
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in bound:
            used.add(f"{bound[node.value.id]}.{node.attr}")
    others = {name for name in used if name.partition(".")[0] != own}
    return {name for name in others - public if not f"{name}.".startswith(SHARED)}


def find_private_imports(folder, *packages):
    """Names that `find_private_names` finds in the modules of a package, by file; its ``folder`` has its name."""
    paths = sorted(folder.rglob("*.py"))
    assert any(list_imports(path.read_text()) for path in paths)
    found = {str(path): find_private_names(path.read_text(), folder.name, *packages) for path in paths}
    return {path: names for path, names in found.items() if names}
