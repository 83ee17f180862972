"""Content of files, drawn or changed at random: nested parts, or bytes."""

import copy
import itertools
import json
from contextlib import contextmanager
from random import Random

import pytest
from hypothesis import strategies

from aotlab import InputError

JSON = strategies.recursive(
    strategies.none()
    | strategies.booleans()
    | strategies.integers()
    | strategies.floats(allow_nan=False, allow_infinity=False)
    | strategies.text(),
    lambda inner: (
        strategies.lists(inner, max_size=4) | strategies.dictionaries(strategies.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=8,
)
"""Any JSON."""
VALUES = [
    None, "x", "", "\x00", "\ud800", "../x", "1/0", True, 0, -1, 2.5, 1e308, 10**30, 10**400, -(10**400), float("nan"),
    float("inf"), [], [0], [[]], [None], ["x"], [[10**400] * 6], {}, {"a": None}, {"a": []}, {"1": -5},
]  # fmt: skip
BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join(['*' + old] * 10)}]\n" for old, new in zip("abcdef", "bcdefg", strict=True)
)
"""YAML whose aliases stand for a million values."""


def list_paths(tree, path=()):
    """Paths of all parts of nested dictionaries and lists."""
    for key in tree if isinstance(tree, dict) else range(len(tree)) if isinstance(tree, list) else ():
        yield (*path, key)
        yield from list_paths(tree[key], (*path, key))


def find_parent(tree, path):
    """The dictionary or list that holds the part at a path of `list_paths`."""
    for key in path[:-1]:
        tree = tree[key]
    return tree


def replace_values(tree):
    """Copies with one part replaced by one of `VALUES`: all there are."""
    for path, value in itertools.product(list_paths(tree), VALUES):
        changed = copy.deepcopy(tree)
        find_parent(changed, path)[path[-1]] = value
        yield changed


def mutate_tree(tree, random):
    """A copy with one part replaced, left out, or added."""
    changed = copy.deepcopy(tree)
    path = random.choice(list(list_paths(tree)))
    parent = find_parent(changed, path)
    way = random.choice(["value", "value", "value", "left out", "added"])
    if way == "left out":
        del parent[path[-1]]
    elif way == "added" and isinstance(parent, dict):
        parent["more"] = random.choice(VALUES)
    else:
        parent[path[-1]] = random.choice(VALUES)
    return changed


def assert_one_sentence(error):
    """Check that the message of an error has one line and no address of an object."""
    assert "\n" not in str(error)
    assert "object at 0x" not in str(error)


@contextmanager
def raises_one_sentence(match=None):
    """`pytest.raises` of an `InputError` with one sentence."""
    with pytest.raises(InputError, match=match) as caught:
        yield caught
    assert_one_sentence(caught.value)


def read_error(read, path, errors=InputError):
    """Return the message of ``read(path)``, which has to be one sentence with the file's name; "": it is read."""
    try:
        read(path)
    except errors as error:
        assert_one_sentence(error)
        sentence = str(error)
        assert path.name in sentence
        return sentence
    return ""


def check_mutations(read, path, tree, count):
    """Read a JSON file as it is; with one part changed, ``count`` times, it is read or refused."""
    path.write_text(json.dumps(tree))
    assert not read_error(read, path)
    random = Random(0)
    for _ in range(count):
        path.write_text(json.dumps(mutate_tree(tree, random)))
        read_error(read, path)


def change_json(path, change):
    """Change the content of a JSON file in place."""
    tree = json.loads(path.read_text())
    change(tree)
    path.write_text(json.dumps(tree))


def corrupt_bytes(content, count, max_changes, seed=0):
    """The content cut at every tenth, and ``count`` copies with 1 to ``max_changes`` bytes changed."""
    yield from (content[: len(content) * tenth // 10] for tenth in range(10))
    random = Random(seed)
    for _ in range(count):
        changed = bytearray(content)
        for _ in range(random.randint(1, max_changes)):
            changed[random.randrange(len(changed))] = random.randrange(256)
        yield bytes(changed)
