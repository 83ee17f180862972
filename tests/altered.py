"""Nested content of files with one part changed at random."""

from __future__ import annotations

VALUES = [
    None, "x", "", "\x00", "\ud800", "../x", "1/0", True, 0, -1, 2.5, 1e308, 10**30, 10**400, -(10**400), float("nan"),
    float("inf"), [], [0], [[]], [None], [[10**400] * 6], {}, {"a": None}, {"a": []},
]  # fmt: skip


def places(tree, path=()):
    """Paths of all parts of nested dictionaries and lists."""
    for key in tree if isinstance(tree, dict) else range(len(tree)) if isinstance(tree, list) else ():
        yield (*path, key)
        yield from places(tree[key], (*path, key))


def copied(tree):
    """Nested dictionaries and lists anew; what they hold is shared."""
    if isinstance(tree, dict):
        return {key: copied(value) for key, value in tree.items()}
    return [copied(value) for value in tree] if isinstance(tree, list) else tree


def altered(tree, random):
    """A copy with one part replaced, left out, or added."""
    changed = copied(tree)
    path = random.choice(list(places(tree)))
    parent = changed
    for key in path[:-1]:
        parent = parent[key]
    way = random.choice(["value", "value", "value", "left out", "added"])
    if way == "left out":
        del parent[path[-1]]
    elif way == "added" and isinstance(parent, dict):
        parent["more"] = random.choice(VALUES)
    else:
        parent[path[-1]] = random.choice(VALUES)
    return changed
