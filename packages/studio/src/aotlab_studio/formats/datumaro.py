"""Datumaro's JSON, which CVAT exports too: https://open-edge-platform.github.io/datumaro."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

import aotlab_video
from aotlab import sdk
from aotlab_studio.formats import Size


def is_datumaro(tree: Any) -> bool:
    return isinstance(tree, dict) and {"categories", "items"} <= tree.keys()


def parse_datumaro(tree: Any, size: Size) -> aotlab_video.ParsedFile:
    """Return the objects and class ids of a file. Objects have a ``track_id``, or else a group or a class.

    CVAT writes also the frames of tracks that it interpolates; only key frames are read.
    """
    labels = [str(label["name"]) for label in (tree["categories"].get("label") or {}).get("labels", ())]
    items = [(item, (item.get("image") or {}).get("path") or item["id"]) for item in tree["items"]]
    aotlab_video.require_different_images([name for _, name in items])
    parser = aotlab_video.RegionParser(size)
    for item, name in items:
        frame = (item.get("attr") or {}).get("frame")
        with parser.locate(name):
            height, width = (item.get("image") or {}).get("size") or size
            aotlab_video.require_size(height, width, size)
        if not item["annotations"]:
            parser.add_absent(aotlab_video.ParsedRegion(frame, None, image=name))
        for count, record in enumerate(item["annotations"], start=1):
            with parser.skip_unreadable(f"{name}, annotation {count}"):
                attributes, label_id, group = (
                    record.get("attributes") or {},
                    record.get("label_id"),
                    record.get("group"),
                )
                label = "" if label_id is None else labels[label_id]
                key = aotlab_video.read_object_key(record)
                key = aotlab_video.GroupKey(label, group) if key is None and group else key
                others = aotlab_video.parse_attributes(attributes)
                region = aotlab_video.ParsedRegion(frame, None, label, key, name, others)
                _add_annotation(record, region, parser)
    return parser.finish({name: index for index, name in enumerate(labels)})


def _add_annotation(
    record: Mapping[str, Any], region: aotlab_video.ParsedRegion, parser: aotlab_video.RegionParser
) -> None:
    """Add a region with the mask or box of an annotation."""
    kind, attributes = record["type"], region.attributes
    if attributes.get("outside") is True:
        parser.add_absent(replace(region, rle=sdk.encode_rle(np.zeros(parser.size, bool))))
    elif attributes.get("keyframe") is False:
        parser.leave_out("annotation", "between key frames")
    elif kind == "mask":
        height, width = record["rle"]["size"]
        aotlab_video.require_size(height, width, parser.size)
        parser.add(replace(region, rle=sdk.parse_rle(record["rle"]["counts"], parser.size)))
    elif kind == "polygon":
        parser.add(replace(region, rle=parser.fill([record["points"]])))
    elif kind == "bbox":
        left, top, width, height = map(float, record["bbox"])
        parser.add(replace(region, box=(left, top, width, height)))
    else:
        parser.leave_out("annotation", f"of kind {kind}")
