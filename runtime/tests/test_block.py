"""A block of AOT in NumPy, as the graphs compute it."""

from __future__ import annotations

import math

import numpy as np
import torch

from runtime.tests.exports import MASKS
from tests.engine.small_model import draw_texture


def propagate(block, x, size, memory):
    """Carry identities from memory to a frame.

    Args:
        block: PyTorch's, of which the weights are used.
        x: the frame's tokens L×C.
        size: (h, w) of its map in tokens, L = h·w.
        memory: keys and values by the names of their tensors, (T·L)×C long-term, L×C short-term.

    Returns:
        Tokens L×C for the next block; then the keys and the tokens of which `memorize` makes memory.
    """
    attention, heads = block.self_attention, block.long_attention.heads
    tokens = norm(block.norm1, x)
    query = tokens + sine_position(size, x.shape[1])
    query, key = linear(attention.query, query), linear(attention.key, query)
    x = x + linear(attention.projection, attend(query, key, linear(attention.value, tokens), heads))

    tokens = norm(block.norm2, x)
    key = query = linear(block.query, tokens)
    long = attend(query, memory["memory_0_long_key"], memory["memory_0_long_value"], heads)
    short_key, short_value = memory["memory_0_short_key"], memory["memory_0_short_value"]
    short = attend_window(query, short_key, short_value, heads, size, block.short_attention)
    x = x + linear(block.long_projection, long) + linear(block.short_projection, short)

    return x + feedforward(block.feedforward, norm(block.norm3, x), size), key, tokens


def memorize(block, key, tokens, id_embedding):
    """Return a frame's key and value L×C; identities, L×C, are in the value only."""
    return key, linear(block.value, tokens + id_embedding)


def attend(query, key, value, heads):
    """Attend to all tokens in memory: query L×C, key and value S×C to L×C."""
    query, key, value = (split_heads(x, heads) for x in (query, key, value))
    weights = softmax(query @ key.swapaxes(1, 2) / math.sqrt(query.shape[2]))  # heads×L×S
    return merge_heads(weights @ value)


def attend_window(query, key, value, heads, size, attention):
    """Attend to the window around each token, with relative positions: query, key and value L×C to L×C."""
    (height, width), window = size, np.arange(attention.window**2)
    query, key, value = (split_heads(x, heads) for x in (query, key, value))
    relative_weight = attention.relative_key.weight.numpy().reshape(heads, len(window), -1)
    relative_bias = attention.relative_key.bias.numpy().reshape(heads, 1, len(window))
    rows, columns = np.divmod(np.arange(height * width)[:, None], width)
    rows = rows + window // attention.window - attention.window // 2  # L×window²
    columns = columns + window % attention.window - attention.window // 2
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    neighbors = np.where(inside, rows * width + columns, 0)
    logits = np.einsum("hlc,hlwc->hlw", query / math.sqrt(query.shape[2]), key[:, neighbors])
    logits += query @ relative_weight.swapaxes(1, 2) + relative_bias
    weights = softmax(np.where(inside, logits, -np.inf))  # heads×L×window²
    relative_value = attention.relative_value.numpy().swapaxes(1, 2)  # heads×window²×c
    return merge_heads(np.einsum("hlw,hlwc->hlc", weights, value[:, neighbors]) + weights @ relative_value)


def feedforward(layer, x, size):
    """Map L×C to L×C: GroupNorm, GELU and a depthwise convolution of the map between two linear layers."""
    hidden = linear(layer.expand, x)
    groups = hidden.reshape(len(x), layer.norm.num_groups, -1)
    groups = groups - groups.mean((0, 2), keepdims=True)
    groups /= np.sqrt(groups.var((0, 2), keepdims=True) + layer.norm.eps)
    hidden = groups.reshape(hidden.shape) * layer.norm.weight.numpy() + layer.norm.bias.numpy()
    hidden *= (1 + np.vectorize(math.erf)(hidden / math.sqrt(2))) / 2
    kernel = layer.conv.weight.numpy()[:, 0]  # hidden×5×5
    radius = kernel.shape[1] // 2
    padded = np.pad(hidden.reshape(*size, -1), ((radius, radius), (radius, radius), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(
        padded, kernel.shape[1:], axis=(0, 1)
    )  # h×w×hidden×5×5
    return linear(layer.reduce, np.einsum("hwcij,cij->hwc", windows, kernel).reshape(hidden.shape))


def sine_position(size, dim):
    """Return sines and cosines of each token's row, then of its column, L×C."""
    (height, width), channel = size, np.arange(dim // 2)
    period = 10000 ** (2 * (channel // 2) / len(channel))
    phase = np.where(channel % 2, math.pi / 2, 0)  # cosines in odd channels
    rows, columns = np.divmod(np.arange(height * width)[:, None], width)
    angles = [2 * math.pi * rows / (height - 1), 2 * math.pi * columns / (width - 1)]
    return np.concatenate([np.sin(angle / period + phase) for angle in angles], axis=1)


def split_heads(x, heads):
    """Map S×(heads·c) to heads×S×c."""
    return x.reshape(len(x), heads, -1).swapaxes(0, 1)


def merge_heads(x):
    """Map heads×L×c to L×(heads·c)."""
    return x.swapaxes(0, 1).reshape(x.shape[1], -1)


def softmax(logits):
    exponentials = np.exp(logits - logits.max(-1, keepdims=True))
    return exponentials / exponentials.sum(-1, keepdims=True)


def linear(layer, x):
    return x @ layer.weight.numpy().T + layer.bias.numpy()


def norm(layer, x):
    normed = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + layer.eps)
    return normed * layer.weight.numpy() + layer.bias.numpy()


def test_block_in_numpy_equals_graphs(exported):
    _, runtime, pytorch_tracker = exported
    tracker, model, frames = runtime.fresh(), pytorch_tracker.model, draw_texture(4)
    tracker.step(frames[0], MASKS[0])
    tracker.step(frames[1])
    tracker.step(frames[2])
    (group,), run = tracker.groups, tracker.graphs.run
    masks = (
        MASKS[0] == np.arange(1 + tracker.graphs.max_objects)[:, None, None]
    )  # one-hot, ids are identities
    id_embeddings = run("assign_identities", {"masks": masks[None].astype(np.float32)})
    features = run("encode", {"frame": frames[3]})
    expected = run("propagate", features | group.read())
    expected |= run("memorize", expected | id_embeddings)

    projected = features["features_projected"][0]  # C×h×w
    dim, size = len(projected), projected.shape[1:]
    memory = {name: x[0] for name, x in group.read().items()}
    assert len(memory["memory_0_long_key"]) == 3 * size[0] * size[1]
    with torch.inference_mode():
        x, *state = propagate(model.blocks[0], projected.reshape(dim, -1).T, size, memory)
        key, value = memorize(model.blocks[0], *state, id_embeddings["id_embeddings_0"][0])
        embedding = norm(model.norms[0], x).T.reshape(dim, *size)
    for name, tensor in (
        ("embeddings_1", embedding), ("states_0_key", key), ("memory_0_long_key", key), ("memory_0_long_value", value),
    ):  # fmt: skip
        # float32 sums in another order
        np.testing.assert_allclose(tensor, expected[name][0], atol=1e-4 * np.abs(tensor).max(), err_msg=name)
