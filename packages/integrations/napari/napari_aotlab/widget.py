"""Widget that tracks the objects of a Labels layer, and segments them from points and rectangles."""

from collections.abc import Callable, Iterator
from typing import Any

import napari
import numpy as np
from magicgui.widgets import CheckBox, Container, LineEdit, ProgressBar, PushButton, create_widget
from napari.layers import Image, Labels, Layer
from napari.qt.threading import GeneratorWorker, create_worker
from napari.utils.notifications import show_info, show_warning

from aotlab import InputError, Prompt, TrackerOptions, VideoTracker

GIVEN_FRAMES = "aotlab_given_frames"
"""Key in a layer's metadata: frames that the user painted, segmented or tracked from; tracking does not change them."""


class TrackWidget(Container):
    """Tracks from the current frame. Earlier frames with labels of the user are references, and none is overwritten."""

    def __init__(self, viewer: napari.viewer.Viewer) -> None:  # napari recognizes this name only
        self._viewer = viewer
        self._loaded: tuple[str, VideoTracker] | None = None
        self._worker: GeneratorWorker | None = None
        self.image_layer = create_widget(label="Video", annotation="napari.layers.Image")
        self.labels_layer = create_widget(label="Objects", annotation="napari.layers.Labels")
        optional = {"nullable": True}
        self.points_layer = create_widget(label="Clicks", annotation="napari.layers.Points", options=optional)
        self.shapes_layer = create_widget(label="Boxes", annotation="napari.layers.Shapes", options=optional)
        self.checkpoint = LineEdit(
            label="Model", value="bundled", tooltip="name or file, as for aotlab track --checkpoint"
        )
        self.backward = CheckBox(text="Backward too")
        self.segment_button = PushButton(text="Segment clicks and boxes")
        self.track_button = PushButton(text="Track from this frame")
        self.cancel_button = PushButton(text="Cancel", enabled=False)
        self.progress = ProgressBar(value=0, max=1)
        for layer in viewer.layers:
            self._watch(layer)
        viewer.layers.events.inserted.connect(lambda event: self._watch(event.value))
        self.segment_button.clicked.connect(self.segment)
        self.track_button.clicked.connect(self.track)
        self.cancel_button.clicked.connect(self.cancel)
        super().__init__(widgets=[
            self.image_layer, self.labels_layer, self.points_layer, self.shapes_layer, self.checkpoint, self.backward,
            self.segment_button, self.track_button, self.cancel_button, self.progress,
        ])  # fmt: skip

    @property
    def frame(self) -> int:
        """Index of the frame that the viewer shows."""
        return int(self._viewer.dims.current_step[0])

    def segment(self) -> None:
        """Write the objects of clicks and boxes on this frame to the Labels layer.

        Clicks belong to the selected label, those with the symbol x are negative. Each rectangle is one object,
        from the selected label on.
        """
        layers = self._open_layers()
        if layers is None:
            return
        image, labels = layers
        try:
            prompts = self._read_prompts(image, labels.selected_label or 1)
            found = self._load().fresh().step(read_frame(image, self.frame), prompts=prompts).labels
        except InputError as error:
            show_warning(str(error))
            return
        kept = np.where(np.isin(labels.data[self.frame], list(prompts)), 0, labels.data[self.frame])
        labels.data[self.frame] = np.where(found > 0, found, kept)
        labels.refresh()
        self._mark_user_frame(labels)

    def track(self) -> None:
        """Track the objects of this frame to the end, and backward if chosen, in a thread."""
        layers = self._open_layers()
        if layers is None or self._worker is not None:
            return
        image, labels = layers
        if not np.any(labels.data[self.frame]):
            show_warning("This frame has no objects; draw them, or segment clicks and boxes.")
            return
        given_frames = self._mark_user_frame(labels)
        ranges = [range(self.frame, len(labels.data))]
        if self.backward.value:
            ranges.append(range(self.frame, -1, -1))
        given = {index: np.array(labels.data[index]) for index in given_frames if np.any(labels.data[index])}
        self.progress.value, self.progress.max = 0, sum(map(len, ranges))
        self._worker = create_worker(track_frames, self._load, image, given, ranges)
        self._worker.yielded.connect(lambda result: self._show(labels, *result))
        self._worker.errored.connect(lambda error: show_warning(str(error)))
        self._worker.finished.connect(self._end)
        self.track_button.enabled, self.cancel_button.enabled = False, True
        self._worker.start()

    def cancel(self) -> None:
        """Stop tracking after the current frame; frames tracked so far stay."""
        if self._worker is not None:
            self._worker.quit()

    def _watch(self, layer: Layer) -> None:
        if isinstance(layer, Labels):
            layer.events.paint.connect(lambda event: self._mark_user_frame(event.source))

    def _mark_user_frame(self, labels: Labels) -> set[int]:
        """Add this frame to those labeled by the user, and return all of them."""
        given_frames: set[int] = labels.metadata.setdefault(GIVEN_FRAMES, set())
        given_frames.add(self.frame)
        return given_frames

    def _show(self, labels: Labels, index: int, found: np.ndarray) -> None:
        is_given = index in labels.metadata[GIVEN_FRAMES] and labels.data[index].any()
        if not is_given:  # it may have been painted while the frames before it were tracked
            labels.data[index] = found
            labels.refresh()
        self.progress.value += 1

    def _end(self) -> None:
        self._worker = None
        self.track_button.enabled, self.cancel_button.enabled = True, False

    def _load(self) -> VideoTracker:
        checkpoint = self.checkpoint.value
        if self._loaded is None or self._loaded[0] != checkpoint:
            self._loaded = checkpoint, TrackerOptions(checkpoint).load()
        return self._loaded[1]

    def _open_layers(self) -> tuple[Image, Labels] | None:
        """Return the chosen layers; a Labels layer of one image becomes one of the video, on this frame."""
        image, labels = self.image_layer.value, self.labels_layer.value
        if image is None or labels is None:
            show_warning("Choose an Image layer T×Y×X and a Labels layer.")
            return None
        if image.ndim != 3:
            show_warning(f"{image.name}: has {image.ndim} dimensions; expected a video T×Y×X.")
            return None
        shape = tuple(image.data.shape[:3])
        if tuple(labels.data.shape) == shape[1:]:
            data = np.zeros(shape, np.int32)
            data[self.frame] = labels.data
            self.labels_layer.value = labels = self._viewer.add_labels(data, name=f"{labels.name} tracked")
            show_info(f"{labels.name}: added for the whole video.")
        if tuple(labels.data.shape) != shape:
            show_warning(f"{labels.name}: shape {labels.data.shape} does not match the video {shape}.")
            return None
        return image, labels

    def _read_prompts(self, image: Image, first: int) -> dict[int, Prompt]:
        """Return the prompts of this frame by label; raise `InputError` without any."""
        clicks, signs, boxes = [], [], []
        if self.points_layer.value is not None:
            layer = self.points_layer.value
            for point, symbol in zip(to_pixels(layer, image, layer.data), layer.symbol, strict=True):
                if round(point[0]) == self.frame:
                    clicks.append((point[2], point[1]))
                    signs.append(int(str(symbol) != "x"))
        if self.shapes_layer.value is not None:
            layer = self.shapes_layer.value
            for corners, kind in zip(layer.data, layer.shape_type, strict=True):
                corners = to_pixels(layer, image, corners)
                if kind == "rectangle" and round(corners[0, 0]) == self.frame:
                    edges = corners[:, 1:].clip(0, image.data.shape[1:3])  # it may be drawn over the border
                    (top, left), (bottom, right) = edges.min(0), edges.max(0)
                    boxes.append((left, top, right - left, bottom - top))
        prompts = {first + number: Prompt(box=box) for number, box in enumerate(boxes)}
        if clicks or not boxes:
            prompts[first] = Prompt(clicks, signs, boxes[0] if boxes else None)
        return prompts


def track_frames(
    load: Callable[[], VideoTracker], image: Image, given: dict[int, np.ndarray], ranges: list[range]
) -> Iterator[tuple[int, np.ndarray]]:
    """Yield frame indices and labels H×W; ``given`` labels in a range or before its start are references and kept."""
    tracker = load()
    for indices in ranges:
        moving = tracker.fresh()
        start, step = indices.start, indices.step
        for index in sorted((index for index in given if (start - index) * step > 0), reverse=step < 0):
            moving.step(read_frame(image, index), given[index])
        for index in indices:
            found = moving.step(read_frame(image, index), given.get(index)).labels
            yield index, given.get(index, found)


def read_frame(image: Image, index: int) -> np.ndarray:
    """Return a frame of an Image layer as H×W×3 uint8 RGB; other depths are scaled by the contrast limits."""
    frame = np.asarray(image.data[index])
    if frame.dtype != np.uint8:
        low, high = image.contrast_limits
        frame = (np.clip((frame - low) / max(high - low, 1e-9), 0, 1) * 255).astype(np.uint8)
    return np.ascontiguousarray(frame[..., :3] if image.rgb else np.repeat(frame[..., None], 3, axis=-1))


def to_pixels(layer: Layer, image: Image, points: Any) -> np.ndarray:
    """Return the coordinates (t, y, x) of a layer's points in the image's data, N×3."""
    return np.array([image.world_to_data(layer.data_to_world(point)) for point in points]).reshape(-1, 3)
