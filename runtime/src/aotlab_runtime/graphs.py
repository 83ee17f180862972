"""`Graphs`: the steps of AOT (Yang, Wei, Yang; NeurIPS 2021), with their equations, sections and shapes.

H×W: a frame of the video, of any size. H'×W': the frame resized for the network, one token per 16×16 pixels. Tokens are
a map h×w = H'/16×W'/16 (rounded up), L = h·w. C: channels of a token. M: number of identities. T: number of frames in
long-term memory. Arrays are float32 unless stated. Graphs exchange them by name.

In DeAOT, keys have C/2 channels, values in memory 4C, and ``embeddings_0`` is the last block's output with 2C.
Multi-scale models have an ``id_embeddings_N`` per scale, and tokens of other sizes in later blocks.
"""

from pathlib import Path

import numpy as np
from onnxruntime.capi.onnxruntime_pybind11_state import InvalidArgument

from aotlab_runtime.inputs import InputError, describe_error, require
from aotlab_runtime.loading import MemorySettings, Provider, open_sessions, read_description

Tensors = dict[str, np.ndarray]
"""Inputs and outputs of graphs, by name."""


class Graphs:
    """An exported model: one onnxruntime session per graph. It has no state; memory is an argument."""

    def __init__(self, folder: str | Path, *, provider: Provider = "cpu", threads: int | None = None) -> None:
        """Load the folder that ``aotlab export`` wrote.

        ``provider``: one of `PROVIDERS`, or a pair with onnxruntime's options for it, ``("cuda", {"device_id": 1})``.
        ``threads``: number of CPU threads; None: one per core. Raises `InputError` if a file is changed, damaged or
        missing, or onnxruntime cannot load the graphs with the provider.
        """
        description = read_description(folder)
        paths = [Path(folder, name) for name in description["sha256"] if name.endswith(".onnx")]
        self._sessions = open_sessions(paths, provider, threads)
        self.providers: list[str] = self._sessions["encode"].get_providers()  # preferred ones first
        self.digest: str = description["digest"]  # identifies this export
        self.network_size: tuple[int, int] = tuple(description["network_size"])  # H', W'
        self.max_objects: int = description["max_objects"]  # M
        self.stride: int = description["stride"]  # side of a token in pixels
        self.align_corners: bool = description["align_corners"]  # in `resize`, as in PyTorch's ``interpolate``
        self.temperature: float = description["confidence_temperature"]  # divides logits in `confidence`
        self.memory: MemorySettings = description["memory"]
        self.prompting: dict[str, float] = description["prompting"] or {}  # settings of the prompt network, if any

    def run(self, name: str, tensors: Tensors) -> Tensors:
        """Run a graph and return its outputs; its inputs are taken from ``tensors`` by name."""
        require(name in self._sessions, f"graph {name}: not in this export")
        session = self._sessions[name]
        names = [node.name for node in session.get_outputs()]
        try:
            inputs = {node.name: np.asarray(tensors[node.name]) for node in session.get_inputs()}
            return dict(zip(names, session.run(names, inputs), strict=True))
        except (KeyError, InvalidArgument) as error:
            raise InputError(f"graph {name}: {describe_error(error)}") from error

    def encode(self, frame: np.ndarray) -> Tensors:
        """Encode a frame H×W×3 uint8 RGB. The result does not depend on its objects.

        Returns ``features_f4``, ``_f8`` and ``_f16``, the encoder's maps at strides 4, 8 and 16, and
        ``features_projected``, the last of them projected to C channels, 1×C×h×w.
        """
        return self.run("encode", {"frame": frame})

    def assign_identities(self, masks: np.ndarray) -> Tensors:
        """Embed the objects of a frame, masks 1×(1+M)×H'×W', one-hot with the background first (section 4.1).

        Returns ``id_embeddings_0``: E, 1×L×C. Each identity has a learned 17×17 kernel of vectors (16×16 if corners
        are not aligned). E is a convolution of the masks with stride 16, so a token sums vectors of pixels around it.
        In DeAOT, MS-DeAOT, AOST and PAOT, a layer normalization of E follows.
        """
        return self.run("assign_identities", {"masks": masks})

    def propagate(self, features: Tensors, memory: Tensors) -> Tensors:
        """Carry identities from memory to a frame, whose tokens x begin as ``features_projected`` (section 4.2).

        Each block N = 0, 1, … reads keys K and values V of earlier frames, see `memorize`::

            x = x + self_attention(norm1(x), position)        sines of y and x, added to queries and keys only
            tokens = norm2(x)
            Q = query(tokens)
            x = x + long_attention(Q, K_long, V_long) + short_attention(Q, K_short, V_short)
            x = x + feedforward(norm3(x))

        Long-term attention reads all tokens of T frames. Short-term attention reads a window around the same place in
        one earlier frame, usually the last, and adds learned terms of the relative position. Both end with a linear
        layer. Each of their heads has c channels and computes::

            attention(Q, K, V) = softmax(Q·Kᵀ / √c)·V

        RMem adds learned vectors before long-term attention: one to Q, and one to the keys of each stored frame, chosen
        by the place of the frame in memory. In AOT, RMem also computes short-term memory from the output of short-term
        attention, which then has no window.

        DeAOT (Yang, Yang; NeurIPS 2022) separates visual tokens x from identity tokens z. Memory is read by one head.
        Its attention weights depend on x only and apply to the values of both, and gates G scale what x and z receive::

            tokens, id_tokens = norm1(x), id_norm1(z)
            Q = query(tokens)
            G = concatenate(silu(gate(tokens)), silu(id_gate(id_tokens)))
            x, z = (x, z) + output(G ⊙ long_attention(…)) + output(G ⊙ short_attention(…))
            x, z = (x, z) + output(G' ⊙ attention(Q', Q', V'))

        G', Q' and V' are computed from norm2(x) and id_norm2(z). ``output``, of which each attention has its own, is a
        depthwise convolution and a linear layer. The first block has no z: its identity gate is 1.
        ``runtime/examples/aot.py`` has all steps in NumPy.

        ``memory``: ``memory_N_long_key`` and ``_value``, 1×(T·L)×C; ``memory_N_short_key`` and ``_value``, 1×L×C.
        Returns ``embeddings_0``, x before the first block, and ``embeddings_(N+1)``, norm(x) after each, 1×C×h×w; and
        ``states_N_key`` and ``states_N_tokens``, Q and tokens, 1×L×C. In place of the tokens, DeAOT returns
        ``states_N_value``, silu(value(tokens)), and after the first block ``states_N_id_tokens``, id_tokens.
        """
        return self.run("propagate", features | memory)

    def reference(self, features: Tensors, id_embeddings: Tensors) -> Tensors:
        """Propagate in a reference frame, one with a mask. Returns the same as `propagate`.

        Its objects are known, so each block reads the frame itself in place of memory::

            K = Q, V = value(tokens + E)
            x = x + long_attention(Q, K, V) + short_attention(Q, K, V)
        """
        return self.run("reference", features | id_embeddings)

    def memorize(self, states: Tensors, id_embeddings: Tensors) -> tuple[Tensors, Tensors]:
        """Return the keys and values to store for a frame whose mask is known: K = Q and V = value(tokens + E).

        Keys have no E, so a token finds stored tokens that look like it. Values have E, so it receives their objects.
        The paper adds E after the projection, V = value(tokens) + E. The published code adds it before, as here.
        In DeAOT, V = concatenate(silu(value(tokens)), silu(id_value(concatenate(id_tokens, E)))).

        Returns long-term memory, ``memory_N_long_key`` and ``memory_N_long_value`` of each block N, 1×L×C each, and
        short-term memory, the same with ``short``.
        """
        memory = self.run("memorize", states | id_embeddings)
        long = {name: x for name, x in memory.items() if "_long_" in name}
        return long, {name: x for name, x in memory.items() if name not in long}

    def decode(self, propagated: Tensors, features: Tensors) -> np.ndarray:
        """Return logits by a feature pyramid (section 4.1)::

            x = relu(groupnorm(conv(concatenate(embeddings_0, embeddings_1, …))))
            for f in (features_f16, features_f8, features_f4):
                x = relu(groupnorm(conv(resize(x, size of f) + conv(f))))
            logits = conv(x)

        They are 1×(1+M)×H'/4×W'/4, background first.
        """
        return self.run("decode", features | propagated)["logits"]

    def relevance(self, propagated: Tensors, logits: np.ndarray, memory: Tensors) -> np.ndarray:
        """Return the relevance r of the T stored frames: their shares of the attention of tokens with objects (RMem).

        A[p, t]: long-term attention of token p in block 0 to all tokens of frame t, the mean of the heads::

            f[p] = 1 - softmax(resize(logits, h×w))[0, p]     probability of an object on token p
            r[t] = sum_p(f[p] · A[p, t]) / sum_p(f[p])        0 without objects

        Only in exports with the policy ``restricted``.
        """
        return self.run("relevance", {"logits": logits, **propagated, **memory})["relevance"]

    def prompt(self, image: np.ndarray, planes: np.ndarray, rough_mask: np.ndarray) -> Tensors:
        """Segment an object of an image height×width×3 uint8 RGB. Only in exports with a prompt network.

        ``planes``: 1×3×height×width in the network, of 0 and 1: points on the object, points off it, its box.
        ``rough_mask``: height×width in 0 to 1. Returns ``logits`` and, with outlines on edges of the image,
        ``refined_logits``, height×width.
        """
        return self.run("prompt", {"image": image, "planes": planes, "rough_mask": rough_mask})
