"""Files of torch.export, made safe to load: only tensors, and graphs of PyTorch's own tensor operators.

`torch.export.load` runs what it reads: it unpickles weights, constants and sample inputs, evaluates symbolic sizes, and
resolves operators by any name below ``torch``. So a file is never handed to it as it is. What this project's export
writes is copied into a new archive; a file that holds anything else is refused.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from aotlab.utils.errors import InputError

TENSORS = re.compile(r"data/weights/weight_\d+|data/constants/tensor_\d+")
CONFIGS = ("data/weights/model_weights_config.json", "data/constants/model_constants_config.json")
GRAPH = "models/model.json"
SAMPLE_INPUTS = "data/sample_inputs/model.pt"
"""a pickle, which running a graph does not need"""
FORMAT = ("archive_format", "archive_version", "byteorder", ".format_version", "version", ".data/version")
LEFT_OUT = re.compile(r"\.data/serialization_id|\.storage_alignment|data/sample_inputs/model\.pt")

OPERATOR = re.compile(
    r"torch\.ops\.aten\.\w+\.\w+|_operator\.(?:add|sub|mul|floordiv|mod|getitem|eq|ne|ge|gt|le|lt)"
)
REFUSED_OPERATORS = ("torch.ops.aten.from_file.",)
SIZE = re.compile(
    r"(?:\b(?:Add|Mul|Pow|Max|Min|Mod|FloorDiv|Integer|Symbol|positive|integer|nonnegative|True|False)\b"
    r"|'[su]\d+'|\b[su]\d+\b|\b\d+\b|[-+*/(),= ])+"
)
"""a symbolic size; PyTorch evaluates its text as Python"""
NAME = re.compile(r"[A-Za-z0-9_.+]*")
"""any other text; PyTorch writes names into the Python source of a graph"""
CONTAINERS = (None, "builtins.tuple", "builtins.list", "builtins.dict")


def safe_archive(path: Path) -> io.BytesIO:
    """An archive for `torch.export.load` with what is known to be harmless in a file.

    Raises:
        InputError: the file is damaged, or holds pickles, other operators, or anything that this project's export
            does not write.
    """
    try:
        with zipfile.ZipFile(path) as source:
            return _copied(source)
    except Refused as error:
        raise InputError(
            f"{path}: {error}, which this project's export does not write and which is never run; export again"
        ) from error
    except (
        OSError,
        zipfile.BadZipFile,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        RecursionError,
    ) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(
            f"{path}: is no file of torch.export, or damaged ({reason}); export again"
        ) from error


class Refused(Exception):  # noqa: N818
    """A file holds what this project's export does not write; the message says what."""


def _copied(source: zipfile.ZipFile) -> io.BytesIO:
    """A new archive of the known members of one."""
    names = [PurePosixPath(info.filename) for info in source.infolist()]
    if not names or len({name.parts[0] for name in names}) > 1 or len(set(names)) < len(names):
        raise Refused("holds members outside one folder, or twice")
    if any(info.compress_type != zipfile.ZIP_STORED for info in source.infolist()):
        raise Refused("holds compressed members")
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for name in names:
            inner, content = "/".join(name.parts[1:]), source.read(str(name))
            if LEFT_OUT.fullmatch(inner):
                continue
            if inner in CONFIGS:
                _check_config(json.loads(content))
            elif inner == GRAPH:
                content = json.dumps(_checked_graph(json.loads(content))).encode()
            elif inner not in FORMAT and not TENSORS.fullmatch(inner):
                raise Refused(f"holds {inner}")
            archive.writestr(f"program/{inner}", content)
        archive.writestr(f"program/{SAMPLE_INPUTS}", b"")
    target.seek(0)
    return target


def _check_config(config: dict[str, Any]) -> None:
    """Raise `Refused` unless every weight or constant is raw numbers."""
    for name, payload in config["config"].items():
        if payload["use_pickle"] is not False or not re.fullmatch(
            r"(?:weight|tensor)_\d+", payload["path_name"]
        ):
            raise Refused(f"holds {name} as a pickled object")


def _checked_graph(program: dict[str, Any]) -> dict[str, Any]:
    """A program without what is only for people and debuggers.

    Raises:
        Refused: it has operators, sizes or texts that this project's graphs do not have.
    """
    program["guards_code"] = []  # Python source that would be run
    sizes = program["range_constraints"] = dict(program["range_constraints"])
    for node in program["graph_module"]["graph"]["nodes"]:
        node["metadata"] = {}
        target = node["target"]
        if not OPERATOR.fullmatch(target) or target.startswith(REFUSED_OPERATORS):
            raise Refused(f"calls {target[:60]}")
    for key, value in _entries(program):
        if key in ("as_operator", "as_graph", "as_custom_obj", "custom_obj") and value is not None:
            raise Refused(f"holds {key.removeprefix('as_')}")
        if key in ("in_spec", "out_spec") and isinstance(value, str):
            _check_containers(json.loads(value) if value else [])
            continue
        texts = [key, *(value if isinstance(value, list) else [value])]
        for text in (text for text in texts if isinstance(text, str)):
            if not (SIZE if (key == "expr_str" and text != key) or text in sizes else NAME).fullmatch(text):
                raise Refused(f"holds the text {text[:60]!r}")
    return program


def _entries(tree: Any) -> Iterator[tuple[str, Any]]:
    """All keys and values of nested JSON."""
    waiting = [tree]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            yield from item.items()
            waiting += item.values()
        elif isinstance(item, list):
            waiting += item


def _check_containers(spec: Any) -> None:
    """Raise `Refused` unless inputs and results are nested in nothing but tuples, lists and dicts."""
    for key, value in _entries(spec):
        if key == "type" and value not in CONTAINERS:
            raise Refused(f"holds the container {value}")
