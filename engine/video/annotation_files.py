"""Export of tracked objects to formats of other tools, written at the end of a video."""

from __future__ import annotations

from pathlib import Path

from aotlab.engine.prediction import Prediction
from aotlab.engine.video.scores import LostFlags
from aotlab.engine.video.tracked import Output, Tracked
from aotlab.masks.exchange.regions import Annotations, Region, Written, runs_of
from aotlab.masks.exchange.writing import write_annotations
from aotlab.media.video import FrameSource, store_frame
from aotlab.utils.files import remove


class AnnotationFile(Output):
    """Objects of all frames in a format of `WRITTEN`, held as run lengths until the end."""

    def __init__(self, name: str, path: Path, source: FrameSource) -> None:
        super().__init__(path)
        self._format, self._source = name, source
        self._annotations = Annotations(source.size)
        self._flags = LostFlags()

    def write(self, name: str, tracked: Tracked) -> None:
        """Add one frame, called ``name``; YOLO's labels get its image beside them."""
        self._annotations.frames[tracked.index] = regions_of(tracked.prediction, self._flags)
        self._annotations.stems[tracked.index] = name
        if self._format == "yolo":
            store_frame(self._source, tracked.index, tracked.frame, self.path / "images" / name)

    def finish(self) -> None:
        """Write the file, unless there were no frames."""
        frames = self._annotations.frames
        if frames:
            self._annotations.class_names = self.class_names
            video = Written(self._source.name, str(self._source.rate), max(frames) + 1)
            write_annotations(self._format, self.path, self._annotations, video)

    def drop(self) -> None:
        """Remove the linked images; the file itself was not written yet."""
        if self._format == "yolo":
            remove(self.path / "images")


def regions_of(prediction: Prediction, flags: LostFlags) -> list[Region]:
    """Return the objects of a prediction as regions, which may be empty."""
    labels, confidence = prediction.labels, prediction.confidence
    lost = flags.update(confidence)
    return [
        Region(object_id, runs_of(labels == object_id), confidence[object_id], lost[object_id])
        for object_id in prediction.ids
    ]
