"""AOT and DeAOT in NumPy: how the objects of the first frame are propagated to all later frames.

`track` is the recurrence: it runs the blocks on each frame, then adds the frame to memory. The convolutional networks
around the blocks come from an export: `encode`, `assign_identities` and `decode` of `aotlab_runtime.Graphs`. The other
functions compute the same as its graphs ``propagate``, ``reference`` and ``memorize``::

    graphs = aotlab_runtime.Graphs("exported")  # of ``aotlab export --output exported``
    w = safetensors.numpy.load_file("pretrain_models/aott_mini.safetensors")  # parameters by name
    for prediction in track(graphs, w, frames, mask, run_aot, memorize_aot):
        print(prediction.labels)  # H×W object ids

Functions of a block take only its parameters as ``w``, without the prefix ``blocks.0.``. x has a row for each of the
frame's L tokens, which form a map of ``size`` (h, w). The memory of a block has ``long_key`` and ``long_value`` with
T·L rows, ``short_key`` and ``short_value`` with L rows.

In AOT (Yang, Wei, Yang; NeurIPS 2021, section 4.2), keys are computed from the appearance of tokens, and values also
contain the identities E of the objects. A token therefore attends to tokens of similar appearance, and receives their
identities.

DeAOT (Yang, Yang; NeurIPS 2022) separates the two. A block has a visual branch and an identity branch, and applies the
same attention weights to the values of both. Keys are computed from the visual branch only. AOT instead adds
identities to x, where they displace visual information in deeper blocks.
"""

import math

import numpy as np

from aotlab_runtime import Prediction

EPSILON = 1e-5
"""Added to variances, against division by zero."""
NORM_GROUPS = 32
"""Groups of AOT's GroupNorm."""


def track(graphs, w, frames, mask, run_blocks, memorize, every=5):
    """Track up to M objects of the first frame; yield the `Prediction` of each later frame.

    ``mask``: H×W object ids of the first frame. ``run_blocks``, ``memorize``: `run_aot` and `memorize_aot`, or
    `run_deaot` and `memorize_deaot`. Long-term memory holds the first frame and then one frame in ``every``. It is not
    bounded here. With ``every`` 5, exports of the bundled model give other masks from frame 11 on: their `MemoryBank`
    holds only the last of the stored frames besides the first (``memory.max_tracked`` 1).
    """
    ids = tuple(np.unique(mask[mask > 0]).tolist())
    depth = len({name.split(".")[1] for name in w if name.startswith("blocks.")})
    blocks = [select_parameters(w, f"blocks.{index}.") for index in range(depth)]
    memory = [{}] * depth  # of each block
    for index, frame in enumerate(frames):
        features = graphs.encode(frame)
        if index == 0:
            id_embedding = embed_objects(graphs, mask, ids)
            _, states = run_blocks(w, blocks, features, memory, id_embedding)
        else:
            embeddings, states = run_blocks(w, blocks, features, memory)
            identities = np.arange(1, 1 + len(ids), dtype=np.int32)
            logits = graphs.decode(embeddings, features, frame, identities)["logits"]
            prediction = Prediction(ids, logits, graphs.temperature)
            yield prediction
            id_embedding = embed_objects(graphs, prediction.labels, ids)
        memory = [
            store_frame(block_memory, *memorize(block, *state, id_embedding), long=index % every == 0)
            for block, block_memory, state in zip(blocks, memory, states, strict=True)
        ]


def run_aot(w, blocks, features, memory, id_embedding=None):
    """Run the blocks of AOT on a frame; a reference frame, whose objects are known, has an ``id_embedding``.

    Returns the embeddings that ``decode`` reads, 1×(1+N)C×h×w, and the arguments of `memorize_aot` for each block.
    """
    maps, states = [features["features_projected"]], []
    x, size = to_tokens(features["features_projected"])
    for index, (block, block_memory) in enumerate(zip(blocks, memory, strict=True)):
        x, *state = propagate_aot(block, x, size, block_memory, id_embedding)
        maps.append(to_map(norm(w, f"norms.{index}", x), size))
        states.append(state)
    return {"embeddings": np.concatenate(maps, axis=1)}, states


def run_deaot(w, blocks, features, memory, id_embedding=None):
    """Run the blocks of DeAOT on a frame, like `run_aot`; ``decode`` reads the last block's output, 1×2C×h×w."""
    visual, size = to_tokens(features["features_projected"])
    identity, states = None, []
    for block, block_memory in zip(blocks, memory, strict=True):
        visual, identity, *state = propagate_deaot(block, visual, identity, size, block_memory, id_embedding)
        states.append(state)
    branches = normalize(np.stack([visual, identity], axis=1), (0, 2)).reshape(len(visual), -1)  # a group per branch
    return {"embeddings": to_map(branches * w["norm.weight"] + w["norm.bias"], size)}, states


def embed_objects(graphs, labels, ids):
    """Return the identity embedding E (L×C) of labels H×W; the object ``ids[k]`` has the identity k + 1."""
    all_ids = np.full(graphs.max_objects, -1, np.int32)
    all_ids[: len(ids)] = ids
    return graphs.assign_identities(labels.astype(np.int32), all_ids)["id_embeddings_0"][0]


def store_frame(memory, key, value, long):
    """Return the memory of a block with another frame, which is short-term and, if ``long``, also long-term memory."""
    stored = {"short_key": key, "short_value": value}
    if not long:
        return memory | stored
    long_key, long_value = memory.get("long_key", key[:0]), memory.get("long_value", value[:0])
    return stored | {"long_key": np.concatenate([long_key, key]), "long_value": np.concatenate([long_value, value])}


def propagate_aot(w, x, size, memory, id_embedding=None):
    """Propagate identities from memory to a frame with an LSTT block of AOT; a reference frame reads itself instead.

    Returns tokens L×C for the next block, and the frame's keys and tokens, L×C each, for `memorize_aot`.
    """
    heads, _, window = w["short_attention.relative_value"].shape  # heads×c×window²
    tokens = norm(w, "norm1", x)  # self-attention, within the frame
    query = tokens + sine_position(size, x.shape[1])
    query, key = linear(w, "self_attention.query", query), linear(w, "self_attention.key", query)
    attended = attend(query, key, linear(w, "self_attention.value", tokens), heads)
    x = x + linear(w, "self_attention.projection", attended)

    tokens = norm(w, "norm2", x)  # long-term attention to all frames in memory, short-term to a window of the last
    key = query = linear(w, "query", tokens)  # one projection for both
    if id_embedding is not None:
        memory = store_frame({}, *memorize_aot(w, key, tokens, id_embedding), long=True)
    long = attend(query, memory["long_key"], memory["long_value"], heads)
    short = attend_window(w, query, memory["short_key"], memory["short_value"], size, heads, window)
    x = x + linear(w, "long_projection", long) + linear(w, "short_projection", short)

    x = x + feedforward(w, norm(w, "norm3", x), size)
    return x, key, tokens


def memorize_aot(w, key, tokens, id_embedding):
    """Return the key and value of a frame, L×C each, given the identity embedding E (L×C) of its objects.

    The paper adds E after the projection, value(tokens) + E; the published code adds it before, as here.
    """
    return key, linear(w, "value", tokens + id_embedding)


def propagate_deaot(w, visual, identity, size, memory, id_embedding=None):
    """Propagate identities from memory to a frame with a gated propagation module of DeAOT, like `propagate_aot`.

    ``visual`` and ``identity``: the branches, L×C each; the first block has no identity branch, so it is None.
    Returns both branches for the next block, and the frame's keys L×C/2, visual values L×2C and normed identities L×C,
    for `memorize_deaot`.
    """
    channels = visual.shape[1]
    window = len(w["short_attention.relative_key.weight"])  # window²×C/2, of one head
    tokens = norm(w, "norm1", visual)
    key, value = np.split(linear(w, "key_value", tokens), [channels // 2], axis=1)
    query, value, visual_gate = key, silu(value), silu(linear(w, "gate", tokens))
    id_tokens = None if identity is None else norm(w, "id_norm1", identity)
    id_gate = np.ones_like(visual_gate) if identity is None else silu(linear(w, "id_gate", id_tokens))
    gate = np.concatenate([visual_gate, id_gate], axis=1)  # L×4C, as values in memory
    if id_embedding is not None:
        memory = store_frame({}, *memorize_deaot(w, key, value, id_tokens, id_embedding), long=True)
    long = attend(query, memory["long_key"], memory["long_value"], heads=1)
    short = attend_window(w, query, memory["short_key"], memory["short_value"], size, 1, window)
    update = gate_output(w, "long_output", long, gate, size)
    update += gate_output(w, "short_output", short, gate, size)
    visual = visual + update[:, :channels]
    identity = update[:, channels:] if identity is None else identity + update[:, channels:]

    update = propagate_self(w, norm(w, "norm2", visual), norm(w, "id_norm2", identity), size)
    return visual + update[:, :channels], identity + update[:, channels:], key, value, id_tokens


def propagate_self(w, visual, identity, size):
    """Attend to the frame itself, in place of a feed-forward layer: return the update L×2C of normed branches L×C."""
    query = key = linear(w, "self_attention.query_key", np.concatenate([visual, identity], axis=1))
    branches = ("visual", visual), ("id", identity)
    value, gate = (
        silu(np.concatenate([linear(w, f"self_attention.{name}_{part}", x) for name, x in branches], axis=1))
        for part in ("value", "gate")
    )
    return gate_output(w, "self_attention.output", attend(query, key, value, heads=1), gate, size)


def memorize_deaot(w, key, value, id_tokens, id_embedding):
    """Return the key L×C/2 and value L×4C of a frame; the value is the visual value, then that of identities and E."""
    inputs = id_embedding if id_tokens is None else np.concatenate([id_tokens, id_embedding], axis=1)
    return key, np.concatenate([value, silu(linear(w, "id_value", inputs))], axis=1)


def gate_output(w, name, attended, gate, size):
    """Multiply attended values L×4C by a gate, mix neighbors with a depthwise convolution, and project to L×2C."""
    return linear(w, f"{name}.projection", convolve(w[f"{name}.conv.weight"], attended * gate, size))


def attend(query, key, value, heads):
    """Attend to all tokens in memory: query L×C, key S×C, value S×D → L×D; each head has c = C/heads channels."""
    query, key, value = split_heads(query, heads), split_heads(key, heads), split_heads(value, heads)
    weights = softmax(query @ key.swapaxes(1, 2) / math.sqrt(query.shape[2]))  # heads×L×S
    return merge_heads(weights @ value)


def attend_window(w, query, key, value, size, heads, window):
    """Attend to the window² tokens around the same position in another frame: query, key and value L×… → L×D.

    Each position in the window has a learned weight R and bias b, which add q·R + b to the logits. In AOT it also has a
    learned U, which is added to the values.
    """
    (height, width), side = size, math.isqrt(window)
    query, key, value = split_heads(query, heads), split_heads(key, heads), split_heads(value, heads)
    rows, columns = np.divmod(np.arange(height * width)[:, None], width)
    rows = rows + np.arange(window) // side - side // 2  # L×window²
    columns = columns + np.arange(window) % side - side // 2
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    neighbors = np.where(inside, rows * width + columns, 0)
    logits = np.einsum("hlc,hlwc->hlw", query / math.sqrt(query.shape[2]), key[:, neighbors])
    relative_weight = w["short_attention.relative_key.weight"].reshape(heads, window, -1)
    relative_bias = w["short_attention.relative_key.bias"].reshape(heads, 1, window)
    logits += query @ relative_weight.swapaxes(1, 2) + relative_bias
    weights = softmax(np.where(inside, logits, -np.inf))  # heads×L×window²
    attended = np.einsum("hlw,hlwc->hlc", weights, value[:, neighbors])
    if "short_attention.relative_value" in w:
        attended += weights @ w["short_attention.relative_value"].swapaxes(1, 2)
    return merge_heads(attended)


def feedforward(w, x, size):
    """Map L×C to L×C: linear layer, GroupNorm, GELU, depthwise convolution, linear layer."""
    hidden = linear(w, "feedforward.expand", x)
    groups = normalize(hidden.reshape(len(x), NORM_GROUPS, -1), (0, 2)).reshape(hidden.shape)
    hidden = groups * w["feedforward.norm.weight"] + w["feedforward.norm.bias"]
    hidden *= (1 + np.vectorize(math.erf)(hidden / math.sqrt(2))) / 2
    return linear(w, "feedforward.reduce", convolve(w["feedforward.conv.weight"], hidden, size))


def convolve(kernel, x, size):
    """Convolve each channel of tokens L×C with its own kernel, C×1×5×5."""
    radius = kernel.shape[2] // 2
    padded = np.pad(x.reshape(*size, -1), ((radius, radius), (radius, radius), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, kernel.shape[2:], axis=(0, 1))  # h×w×C×5×5
    return np.einsum("hwcij,cij->hwc", windows, kernel[:, 0]).reshape(x.shape)


def sine_position(size, channels):
    """Return L×C sines and cosines: those of each token's row, then those of its column."""
    (height, width), channel = size, np.arange(channels // 2)
    period = 10000 ** (2 * (channel // 2) / len(channel))
    phase = np.where(channel % 2, math.pi / 2, 0)  # cosines in odd channels
    rows, columns = np.divmod(np.arange(height * width)[:, None], width)
    angles = [2 * math.pi * rows / max(1, height - 1), 2 * math.pi * columns / max(1, width - 1)]
    return np.concatenate([np.sin(angle / period + phase) for angle in angles], axis=1)


def to_tokens(maps):
    """Map 1×C×h×w to tokens L×C; return them and (h, w)."""
    return maps[0].reshape(maps.shape[1], -1).T, maps.shape[2:]


def to_map(x, size):
    """Map tokens L×C to 1×C×h×w."""
    return x.T.reshape(1, -1, *size).astype(np.float32)


def split_heads(x, heads):
    """Map S×(heads·c) to heads×S×c."""
    return x.reshape(len(x), heads, -1).swapaxes(0, 1)


def merge_heads(x):
    """Map heads×L×c to L×(heads·c)."""
    return x.swapaxes(0, 1).reshape(x.shape[1], -1)


def select_parameters(w, prefix):
    """Return the parameters whose names begin with a prefix, without it."""
    return {name.removeprefix(prefix): x for name, x in w.items() if name.startswith(prefix)}


def softmax(logits):
    exponentials = np.exp(logits - logits.max(-1, keepdims=True))
    return exponentials / exponentials.sum(-1, keepdims=True)


def silu(x):
    return x / (1 + np.exp(-x))


def linear(w, name, x):
    return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]


def norm(w, name, x):
    return normalize(x, -1) * w[f"{name}.weight"] + w[f"{name}.bias"]


def normalize(x, axes):
    """Shift and scale to mean 0 and variance 1 over axes."""
    return (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + EPSILON)
