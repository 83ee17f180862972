"""Compositing nodes in Blender for results of aotlab: the plate, and the matte of each object.

blender SHOT.blend --python blender_import.py -- RESULTS
"""

from __future__ import annotations

import json
import re
import struct
import sys
from pathlib import Path
from typing import Any

import bpy

NUMBER = re.compile(r"((?<=[._])-|^-)?\d+$")
"""Number at the end of a name; after letters and digits, a minus is a hyphen."""


def import_results(folder: Path, tree: bpy.types.NodeTree) -> dict[str, bpy.types.Node]:
    """Add nodes for a folder of results with ``exr`` and ``cryptomatte``; return that of each object by name.

    Scene frames are the numbers in the names of the files. Ends with a sentence if the folder cannot be used.
    """
    record, names = _read_results(folder)
    missing = {"exr", "cryptomatte"} - record["outputs"].keys()
    if missing:
        raise SystemExit(
            f"{folder}: no {' and '.join(sorted(missing))}; run aotlab render {folder} --write exr,cryptomatte"
        )
    first, count = int(NUMBER.search(names[0])[0]), len(names)
    files = {name: folder / record["outputs"][name][0].replace("{frame}", names[0]) for name in ("exr", "cryptomatte")}
    objects, plate = _list_objects(files["cryptomatte"]), tree.nodes.new("CompositorNodeImage")
    _load_sequence(plate, files["exr"], first, count)
    plate.label, nodes = folder.name, {}
    for row, name in enumerate(objects):
        matte = nodes[name] = tree.nodes.new("CompositorNodeCryptomatteV2")
        matte.source = "IMAGE"
        _load_sequence(matte, files["cryptomatte"], first, count)
        matte.matte_id, matte.label, matte.location = name, name, (300, -400 * row)
        tree.links.new(plate.outputs[0], matte.inputs["Image"])
    return nodes


def _read_results(folder: Path) -> tuple[dict[str, Any], list[str]]:
    """Return the record of a folder of results, and the names of its frames, which end in numbers."""
    try:
        record = json.loads((folder / "results.json").read_text(encoding="utf-8"))
        lines = (folder / "frames.jsonl").read_text(encoding="utf-8").splitlines()
        names = [json.loads(line)["name"] for line in lines]
        is_run = bool(names) and {"outputs", "objects"} <= record.keys()
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise SystemExit(f"{folder}: no results of aotlab ({error}); give the folder of a finished run") from None
    if not is_run:
        raise SystemExit(f"{folder}: no tracked frame; give the folder of a finished run")
    for name in names:
        if NUMBER.search(name) is None:
            problem = f"frame {name} does not end in a number; rename the frames, and track them again"
            raise SystemExit(f"{folder}: {problem}")
    return record, names


def _load_sequence(node: bpy.types.Node, file: Path, first: int, count: int) -> None:
    if not file.is_file():
        raise SystemExit(f"{file}: no such file; write it again with aotlab render")
    node.image = bpy.data.images.load(str(file))
    if count > 1:
        node.image.source = "SEQUENCE"
        node.frame_duration, node.frame_start, node.frame_offset = count, first, first - 1


def _list_objects(file: Path) -> list[str]:
    """Return the names in the manifest of a Cryptomatte."""
    content = file.read_bytes() if file.is_file() else b""
    match = re.search(rb"cryptomatte/[0-9a-f]{7}/manifest\0string\0(.{4})", content, re.DOTALL)
    if match is None:
        raise SystemExit(f"{file}: no Cryptomatte with names of objects; write it again with aotlab render")
    (length,) = struct.unpack("<i", match[1])
    return [*json.loads(content[match.end() : match.end() + length])]


if __name__ == "__main__":
    scene = bpy.context.scene
    if scene.compositing_node_group is None:
        scene.compositing_node_group = bpy.data.node_groups.new("Compositing", "CompositorNodeTree")
    import_results(Path(sys.argv[-1]).resolve(), scene.compositing_node_group)
