"""Random changes of files, in nested values or in bytes, and checks of the readers' messages."""

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
"""Strategy that draws any JSON."""
ODD_VALUES = [
    None, "x", "", "\x00", "\ud800", "../x", "1/0", True, 0, -1, 2.5, 1e308, 10**30, 10**400, -(10**400), float("nan"),
    float("inf"), [], [0], [[]], [None], ["x"], [[10**400] * 6], {}, {"a": None}, {"a": []}, {"1": -5},
]  # fmt: skip
BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join(['*' + old] * 10)}]\n" for old, new in zip("abcdef", "bcdefg", strict=True)
)
"""YAML whose aliases stand for a million values."""


def list_paths(tree, path=()):
    """Yield the path of every value in nested dictionaries and lists."""
    for key in tree if isinstance(tree, dict) else range(len(tree)) if isinstance(tree, list) else ():
        yield (*path, key)
        yield from list_paths(tree[key], (*path, key))


def find_parent(tree, path):
    """Return the dictionary or list that holds the value at a path of `list_paths`."""
    for key in path[:-1]:
        tree = tree[key]
    return tree


def replace_values(tree):
    """Yield every copy with one value replaced by one of `ODD_VALUES`."""
    for path, value in itertools.product(list_paths(tree), ODD_VALUES):
        changed = copy.deepcopy(tree)
        find_parent(changed, path)[path[-1]] = value
        yield changed


def mutate_tree(tree, random):
    """Return a copy with one value replaced, removed or added."""
    changed = copy.deepcopy(tree)
    path = random.choice(list(list_paths(tree)))
    parent = find_parent(changed, path)
    change = random.choice(["replace", "replace", "replace", "remove", "add"])
    if change == "remove":
        del parent[path[-1]]
    elif change == "add" and isinstance(parent, dict):
        parent["more"] = random.choice(ODD_VALUES)
    else:
        parent[path[-1]] = random.choice(ODD_VALUES)
    return changed


def assert_one_sentence(error):
    """Check that the message of an error has one line and no address of an object."""
    assert "\n" not in str(error)
    assert "object at 0x" not in str(error)


@contextmanager
def raises_one_sentence(match=None):
    """Expect an `InputError` whose message is one sentence, as `pytest.raises` does."""
    with pytest.raises(InputError, match=match) as caught:
        yield caught
    assert_one_sentence(caught.value)


def read_error(read, path, errors=InputError):
    """Return the error message of ``read(path)``, which has to be one sentence with the file's name, or ""."""
    try:
        read(path)
    except errors as error:
        assert_one_sentence(error)
        sentence = str(error)
        assert path.name in sentence
        return sentence
    return ""


def check_mutations(read, path, tree, count):
    """Check that a JSON file is read, and that ``count`` random changes of it are read or rejected in one sentence."""
    path.write_text(json.dumps(tree))
    assert not read_error(read, path)
    random = Random(0)
    for _ in range(count):
        path.write_text(json.dumps(mutate_tree(tree, random)))
        read_error(read, path)


def raise_error(error):
    """Return a function, like one with a bug, that raises the error for any arguments."""

    def fail(*_, **__):
        raise error("bug")

    return fail


def change_json(path, change):
    """Change the content of a JSON file in place."""
    tree = json.loads(path.read_text())
    change(tree)
    path.write_text(json.dumps(tree))


def corrupt_bytes(content, count, max_changes, seed=0):
    """Yield the content cut off at each tenth, and ``count`` copies with 1 to ``max_changes`` changed bytes."""
    yield from (content[: len(content) * tenth // 10] for tenth in range(10))
    random = Random(seed)
    for _ in range(count):
        changed = bytearray(content)
        for _ in range(random.randint(1, max_changes)):
            changed[random.randrange(len(changed))] = random.randrange(256)
        yield bytes(changed)
