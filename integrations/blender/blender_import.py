"""Compositing nodes in Blender for results of aotlab: the plate, and the matte of each object.

blender SHOT.blend --python blender_import.py -- RESULTS
"""

import json
import re
import struct
import sys
from pathlib import Path

import bpy

NUMBER = re.compile(r"((?<=[._])-|^-)?\d+$")
"""Number at the end of a name; after letters and digits, a minus is a hyphen."""


def import_results(folder: Path, tree: bpy.types.NodeTree) -> dict[str, bpy.types.Node]:
    """Add nodes for a folder of results with ``exr`` and ``cryptomatte``; return that of each object by name.

    Scene frames are the numbers in the names of the files.
    """
    record = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    missing = {"exr", "cryptomatte"} - record["outputs"].keys()
    if missing:
        raise SystemExit(
            f"{folder}: no {' and '.join(sorted(missing))}; run aotlab render {folder} --write exr,cryptomatte"
        )
    names = [json.loads(line)["name"] for line in (folder / "frames.jsonl").read_text(encoding="utf-8").splitlines()]
    first, count = int(NUMBER.search(names[0])[0]), len(names)
    plate = tree.nodes.new("CompositorNodeImage")
    files = {name: folder / record["outputs"][name][0].replace("{frame}", names[0]) for name in ("exr", "cryptomatte")}
    _load_sequence(plate, files["exr"], first, count)
    plate.label, nodes = folder.name, {}
    for row, name in enumerate(_list_objects(files["cryptomatte"])):
        matte = nodes[name] = tree.nodes.new("CompositorNodeCryptomatteV2")
        matte.source = "IMAGE"
        _load_sequence(matte, files["cryptomatte"], first, count)
        matte.matte_id, matte.label, matte.location = name, name, (300, -400 * row)
        tree.links.new(plate.outputs[0], matte.inputs["Image"])
    return nodes


def _load_sequence(node: bpy.types.Node, file: Path, first: int, count: int) -> None:
    node.image = bpy.data.images.load(str(file))
    if count > 1:
        node.image.source = "SEQUENCE"
        node.frame_duration, node.frame_start, node.frame_offset = count, first, first - 1


def _list_objects(file: Path) -> list[str]:
    """Return the names in the manifest of a Cryptomatte."""
    content = file.read_bytes()
    match = re.search(rb"cryptomatte/[0-9a-f]{7}/manifest\0string\0(.{4})", content, re.DOTALL)
    (length,) = struct.unpack("<i", match[1])
    return [*json.loads(content[match.end() : match.end() + length])]


if __name__ == "__main__":
    scene = bpy.context.scene
    if scene.compositing_node_group is None:
        scene.compositing_node_group = bpy.data.node_groups.new("Compositing", "CompositorNodeTree")
    import_results(Path(sys.argv[-1]).resolve(), scene.compositing_node_group)
