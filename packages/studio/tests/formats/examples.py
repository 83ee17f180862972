"""Parts of the files of other tools."""

import base64

from studio.tests.annotation import clips


def png(mask):
    return base64.b64encode(clips.png(mask)).decode()


def labelme(frame, *shapes, height=24):
    size = {"imageHeight": height, "imageWidth": 40}
    return {"version": "5", "shapes": list(shapes), "imagePath": f"{frame:05d}.jpg", **size}


def shape(label, points, group=None, kind="polygon", **more):
    return {"label": label, "points": points, "group_id": group, "shape_type": kind, **more}
