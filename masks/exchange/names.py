"""Written formats by name; imports nothing, so that help texts are quick."""

from __future__ import annotations

WRITTEN = {
    "coco": ("coco.json", "COCO, with track ids and confidence"),
    "youtube_vis": ("youtube_vis.json", "YouTube-VIS"),
    "mots": ("mots.txt", "MOTS"),
    "cvat": ("cvat.xml", "CVAT for video, masks"),
    "cvat_polygons": ("cvat_polygons.xml", "CVAT for video, tracks of polygons"),
    "label_studio": ("label_studio.json", "Label Studio, predictions"),
    "yolo": ("yolo", "YOLO segmentation, with images"),
}
"""file or folder, and description"""
