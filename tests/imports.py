"""Imports of a source."""

import ast
from functools import cache


@cache
def find_imports(source):
    """Nodes of all imports of a source."""
    return [node for node in ast.walk(ast.parse(source)) if isinstance(node, (ast.Import, ast.ImportFrom))]


def list_imports(source, package):
    """Full names of all modules that a source imports anywhere, also inside functions."""
    for node in find_imports(source):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        else:
            base = ".".join(filter(None, [package if node.level else "", node.module]))
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)
