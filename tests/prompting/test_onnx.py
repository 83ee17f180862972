"""ONNX files of the SAM family, as small graphs of the usual names and shapes."""

import numpy as np
import pytest

from aotlab.media.prompt import Prompt
from aotlab.prompting.onnx import OnnxSegmenter
from aotlab.utils.errors import InputError

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

EDGE = 64


def save(path, nodes, inputs, outputs, constants=()):
    graph = onnx.helper.make_graph(
        nodes,
        "graph",
        [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape) for name, shape in inputs],
        [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape) for name, shape in outputs],
        [onnx.numpy_helper.from_array(np.asarray(value), name) for name, value in constants],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, path)
    return path


def encoder(path, shape=(1, 3, EDGE, EDGE)):
    """The embedding is the image's mean over its channels."""
    axes = [1] if len(shape) == 4 else [2]
    nodes = [onnx.helper.make_node("ReduceMean", ["image"], ["image_embeddings"], axes=axes, keepdims=1)]
    return save(path, nodes, [("image", list(shape))], [("image_embeddings", [None] * len(shape))])


def decoder(path, *, masks="masks", extra=None):
    """Of two masks, without and with all pixels, the second is better if the labels of points have a positive sum."""
    node = onnx.helper.make_node
    nodes = [
        node("Cast", ["orig_im_size"], ["size"], to=onnx.TensorProto.INT64),
        node("Concat", ["two", "size"], ["shape"], axis=0),
        node("ReduceSum", ["point_labels"], ["sum"], keepdims=0),
        node("ReduceMean", ["image_embeddings"], ["mean"], keepdims=0),
        node("ReduceSum", ["point_coords"], ["place"], keepdims=0),
        node("Mul", ["mean", "zero"], ["nothing"]),
        node("Mul", ["place", "zero"], ["nowhere"]),
        node("Add", ["nothing", "nowhere"], ["none"]),
        node("Add", ["signs", "none"], ["values"]),
        node("Expand", ["values", "shape"], [masks]),
        node("Mul", ["sum", "order"], ["iou_predictions"]),
    ]
    inputs = [
        ("image_embeddings", [None] * 4), ("point_coords", [1, None, 2]), ("point_labels", [1, None]),
        ("mask_input", [1, 1, 256, 256]), ("has_mask_input", [1]), ("orig_im_size", [2]),
    ]  # fmt: skip
    inputs += [(extra, [1])] if extra else []
    constants = [
        ("two", np.array([1, 2], np.int64)),
        ("zero", np.float32(0)),
        ("signs", np.array([-1.0, 1.0], np.float32).reshape(1, 2, 1, 1)),
        ("order", np.array([[-1.0, 1.0]], np.float32)),
    ]
    outputs = [(masks, [1, 2, None, None]), ("iou_predictions", [1, 2])]
    return save(path, nodes, inputs, outputs, constants)


FRAME = np.random.default_rng(0).integers(0, 255, (40, 60, 3), dtype=np.uint8)


@pytest.fixture
def segmenter(tmp_path):
    return OnnxSegmenter(encoder(tmp_path / "e.onnx"), decoder(tmp_path / "d.onnx"))


@pytest.mark.parametrize("prompt", [Prompt(box=(5.0, 5.0, 20.0, 20.0)), Prompt(points=[(3, 3), (9, 9)])])
def test_best_mask_of_the_decoder_is_returned(segmenter, prompt):
    labels = segmenter(FRAME, {4: prompt})
    assert labels.shape == (40, 60)
    np.testing.assert_array_equal(labels, 4)


@pytest.fixture
def inputs(monkeypatch):
    """Inputs of every run of the encoder or decoder, in order."""
    recorded, run = [], onnxruntime.InferenceSession.run
    monkeypatch.setattr(
        onnxruntime.InferenceSession,
        "run",
        lambda session, names, feed: recorded.append(feed) or run(session, names, feed),
    )
    return recorded


def test_boxes_and_points_are_encoded_as_in_sam(segmenter, inputs):
    frame = np.full_like(FRAME, (200, 100, 50))
    segmenter(frame, {1: Prompt([(30, 20), (0, 0)], [1, 0], (6.0, 3.0, 30.0, 15.0)), 2: Prompt(points=[(30, 20)])})
    image, first, second = inputs
    assert image["image"][0, :, 42, 63] == pytest.approx([1.307, -0.285, -0.933], abs=1e-3)
    assert not image["image"][0, :, 43:].any()
    assert first["point_labels"].tolist() == [[1, 0, 2, 3]]
    assert np.allclose(first["point_coords"][0] * 60 / EDGE, [[30, 20], [0, 0], [6, 3], [36, 18]])
    assert first["orig_im_size"].tolist() == [40, 60]
    assert second["point_labels"].tolist() == [[1, -1]]


def test_scribbles_are_clicks_to_a_decoder(segmenter, inputs):
    segmenter(FRAME, {1: Prompt(scribble=[(x, 20) for x in range(10, 20)])})
    assert inputs[1]["point_labels"].tolist() == [[1, 1, -1]]
    assert np.allclose(inputs[1]["point_coords"][0, :2] * 60 / EDGE, [[10, 20], [18, 20]])


def test_mask_is_a_box_to_a_decoder(segmenter, inputs):
    sure, unsure = np.full((40, 60), 0.4), np.full((40, 60), 0.5)
    sure[10:20, 5:30] = 0.6
    segmenter(FRAME, {1: Prompt(mask=sure), 2: Prompt(mask=unsure), 3: Prompt(mask=sure, box=(6.0, 3.0, 30.0, 15.0))})
    assert [feed["point_labels"].tolist() for feed in inputs[1:]] == [[[2, 3]]] * 3
    assert np.allclose(inputs[1]["point_coords"][0] * 60 / EDGE, [[5, 10], [30, 20]])
    assert np.allclose(inputs[3]["point_coords"][0] * 60 / EDGE, [[6, 3], [36, 18]])


def test_decoder_loses_excluded_pixels(segmenter):
    exclude = np.zeros((40, 60), bool)
    exclude[:10] = True
    labels = segmenter(FRAME, {4: Prompt(box=(5.0, 5.0, 20.0, 20.0), exclude=exclude)})
    np.testing.assert_array_equal(labels == 0, exclude)


def test_embedding_of_a_frame_is_computed_once(segmenter, inputs):
    black = np.zeros((40, 60, 3), np.uint8)
    for frame in (FRAME, FRAME.copy(), FRAME[::-1].copy(), black, black.transpose(1, 0, 2)):
        segmenter(frame, {1: Prompt(points=[(3, 3)])})
    assert ["image" in feed for feed in inputs] == [True, False, False, *[True, False] * 3]


def test_encoder_of_plain_pixels_gets_them_unpadded(tmp_path, inputs):
    segmenter = OnnxSegmenter(encoder(tmp_path / "e.onnx", (None, None, 3)), decoder(tmp_path / "d.onnx"))
    with pytest.raises(InputError):  # this decoder takes an embedding with four axes
        segmenter(FRAME, {1: Prompt(points=[(3, 3)])})
    assert inputs[0]["image"].shape == (683, 1024, 3)


def assert_rejected(encoder, decoder):
    """The files are loaded, and the first prompt names what does not fit."""
    segmenter = OnnxSegmenter(encoder, decoder)
    with pytest.raises(InputError, match="do not run as segment-anything's export does"):
        segmenter(FRAME, {1: Prompt(points=[(5, 3)])})


@pytest.mark.parametrize("options", [{"masks": "result"}, {"extra": "text_prompt"}])
def test_decoder_of_other_names_rejected(tmp_path, options):
    assert_rejected(encoder(tmp_path / "e.onnx"), decoder(tmp_path / "d.onnx", **options))


def test_missing_and_broken_files_rejected(tmp_path):
    (tmp_path / "broken.onnx").write_bytes(b"broken")
    for name in ("none.onnx", "broken.onnx"):
        with pytest.raises(InputError, match=name):
            OnnxSegmenter(tmp_path / name, decoder(tmp_path / "d.onnx"))


@pytest.mark.parametrize("shape", [(1, 3, 10**6, 10**6), (3,)])
def test_encoder_of_another_input_rejected(tmp_path, shape):
    node = onnx.helper.make_node("Identity", ["image"], ["image_embeddings"])
    inputs = [("image", list(shape))]
    path = save(tmp_path / "e.onnx", [node], inputs, [("image_embeddings", None)])
    assert_rejected(path, decoder(tmp_path / "d.onnx"))
