"""Animated glTF characters and generated furniture, rendered by OpenGL (moderngl; Mesa's llvmpipe without a GPU)."""

from __future__ import annotations

import io
import json
import math
import re
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.random import Generator
from PIL import Image
from scipy.spatial.transform import Rotation

MODEL_SIDE = 192
"""Side of a rendered sprite in pixels; models are drawn at twice this size."""
STILL, WORN = re.compile("Pose|Idle|Lie_Down"), re.compile("Helmet|Cape|Hat|Hood")
"""Names of animations that hardly move, and of loose parts that a character usually wears."""
COMPONENTS = {5120: np.int8, 5121: np.uint8, 5122: np.int16, 5123: np.uint16, 5125: np.uint32, 5126: np.float32}
WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}
VERTEX_SHADER = """#version 330
uniform mat4 view; uniform mat4 bones[96];
in vec3 point; in vec3 normal; in vec2 uv; in vec4 joint; in vec4 weight; out vec3 n; out vec2 at; out vec3 where;
void main() {
  mat4 move = mat4(0); for (int k = 0; k < 4; k++) move += weight[k] * bones[int(joint[k])];
  gl_Position = view * move * vec4(point, 1); n = mat3(move) * normal; at = uv; where = point; }"""
FRAGMENT_SHADER = """#version 330
uniform sampler2D base; uniform sampler2D pattern; uniform vec3 sun; uniform float mixing; uniform float repeat;
in vec3 n; in vec2 at; in vec3 where; out vec4 color;
void main() {
  vec3 facing = normalize(gl_FrontFacing ? n : -n), own = texture(base, at).rgb;
  own = mix(own, own * texture(pattern, where.xy * repeat).rgb * 2.2, mixing);
  color = vec4(clamp(own * (0.45 + 0.65 * max(dot(facing, sun), 0.0) + 0.12 * facing.y), 0, 1), 1); }"""


@dataclass(frozen=True)
class Part:
    """Triangles with one texture that follow some nodes of a model."""

    name: str
    vertices: np.ndarray
    """V×16 float32: point, normal, texture coordinates, four indices of joints, their weights."""
    triangles: np.ndarray
    """Indices of vertices, 3·T."""
    texture: np.ndarray
    """H×W×3 uint8."""
    joints: Sequence[int] = (0,)
    """Indices of nodes."""
    inverse: np.ndarray | None = None
    """Joints×4×4, from the model at rest to each joint; None for a part that is fixed to one node."""


class AnimatedModel:
    """A binary glTF file with skins and animations."""

    def __init__(self, path: Path) -> None:
        content, self.name = path.read_bytes(), path.stem
        length = struct.unpack("<I", content[12:16])[0]
        self.tree, self.binary = json.loads(content[20 : 20 + length]), content[28 + length :]
        self.nodes = self.tree["nodes"]
        self.animations = [each for each in self.tree["animations"] if not STILL.search(each["name"])]

    def read_array(self, index: int) -> np.ndarray:
        """Return an accessor's N×K array; normalized integers become floats."""
        accessor = self.tree["accessors"][index]
        view = self.tree["bufferViews"][accessor["bufferView"]]
        kind, width = np.dtype(COMPONENTS[accessor["componentType"]]), WIDTHS[accessor["type"]]
        start = view.get("byteOffset", 0) + accessor.get("byteOffset", 0)
        strides = (view.get("byteStride", kind.itemsize * width), kind.itemsize)
        values = np.ndarray((accessor["count"], width), kind, self.binary, start, strides).copy()
        return values / np.float32(np.iinfo(kind).max) if accessor.get("normalized") else values

    def read_texture(self, material: int) -> np.ndarray:
        """Return the base color of a material, H×W×3 uint8."""
        texture = self.tree["materials"][material]["pbrMetallicRoughness"]["baseColorTexture"]["index"]
        image = self.tree["images"][self.tree["textures"][texture]["source"]]
        view = self.tree["bufferViews"][image["bufferView"]]
        start = view.get("byteOffset", 0)
        return np.asarray(Image.open(io.BytesIO(self.binary[start : start + view["byteLength"]])).convert("RGB"))

    @cached_property
    def parts(self) -> list[Part]:
        """All meshes, at rest."""
        parts = []
        for index, node in enumerate(self.nodes):
            for mesh in self.tree["meshes"][node["mesh"]]["primitives"] if "mesh" in node else ():
                read = {key: self.read_array(each) for key, each in mesh["attributes"].items()}
                fixed = np.tile(np.eye(4)[0], (len(read["POSITION"]), 1))
                keys = [("POSITION", None), ("NORMAL", None), ("TEXCOORD_0", None), ("JOINTS_0", fixed - fixed)]
                columns = [read.get(key, value) for key, value in [*keys, ("WEIGHTS_0", fixed)]]
                skin = self.tree["skins"][node["skin"]] if "skin" in node else None
                inverse = self.read_array(skin["inverseBindMatrices"]).reshape(-1, 4, 4).mT if skin else None
                vertices, triangles = np.hstack(columns).astype("f4"), self.read_array(mesh["indices"]).ravel()
                texture, joints = self.read_texture(mesh["material"]), skin["joints"] if skin else [index]
                parts.append(Part(node["name"], vertices, triangles, texture, joints, inverse))
        return parts

    def pose(self, animation: Mapping[str, Any], seconds: np.ndarray) -> np.ndarray:
        """Return the matrices of all nodes at F times, F×N×4×4."""
        shape = (len(seconds), len(self.nodes))
        rest = {"translation": [0, 0, 0], "rotation": [0, 0, 0, 1], "scale": [1, 1, 1]}
        local = {
            key: np.tile(np.array([node.get(key, value) for node in self.nodes], float), (len(seconds), 1, 1))
            for key, value in rest.items()
        }
        for channel in animation["channels"]:
            sampler, key = animation["samplers"][channel["sampler"]], channel["target"]["path"]
            times, values = self.read_array(sampler["input"])[:, 0], self.read_array(sampler["output"])
            if key == "rotation":  # q and -q are the same turn
                values[1:] *= np.cumprod(np.where((values[1:] * values[:-1]).sum(1) < 0, -1, 1))[:, None]
            at = seconds % max(float(times[-1]), 0.1)
            local[key][:, channel["target"]["node"]] = np.stack([np.interp(at, times, each) for each in values.T], 1)
        matrices = np.tile(np.eye(4), (*shape, 1, 1))
        turns = Rotation.from_quat(local["rotation"].reshape(-1, 4)).as_matrix().reshape(*shape, 3, 3)
        matrices[..., :3, :3], matrices[..., :3, 3] = turns * local["scale"][..., None, :], local["translation"]
        pending = list(self.tree["scenes"][0]["nodes"])
        for index in pending:
            for child in self.nodes[index].get("children", []):
                matrices[:, child] = matrices[:, index] @ matrices[:, child]
                pending.append(child)
        return matrices


def build_furniture(rng: Generator) -> Part:
    """Build a chair, table or shelf of boxes with random proportions and two colors."""
    kind = rng.choice(["chair", "chair", "table", "shelf"])
    width, depth, leg = rng.uniform(0.4, 0.6), rng.uniform(0.4, 0.55), rng.uniform(0.02, 0.05)
    height, back = rng.uniform(0.4, 0.55), rng.uniform(0.8, 1.1)
    boxes = [(0, height, 0, width, height + rng.uniform(0.03, 0.12), depth)]
    boxes += [(x, 0, z, x + leg, height, z + leg) for x in (0, width - leg) for z in (0, depth - leg)]
    if kind == "chair":
        boxes.append((0, height + rng.choice([0, 0.2]), 0, width, back, leg))
        boxes += [(x, height, 0, x + leg, back, leg) for x in (0, width - leg)]
    elif kind == "shelf":
        boxes += [(0, y, 0, width, y + leg, depth) for y in np.linspace(0, height, int(rng.integers(2, 4)))]
        boxes.append((0, 0, 0, width, height, leg))
    square, rows = np.array([[0, 0], [1, 0], [1, 1], [0, 1]]), []
    for number, box in enumerate(np.array(boxes)):
        for axis, end in ((axis, end) for axis in range(3) for end in (0, 1)):
            face = np.insert(square, axis, end, axis=1)
            normal, rest = (2 * end - 1) * np.eye(3)[axis], [0.75 if number else 0.25, 0, 0, 0, 0, 0, 1, 0, 0, 0]
            rows.append(np.hstack([box[:3] + face * (box[3:] - box[:3]), np.tile([*normal, *rest], (4, 1))]))
    triangles = np.arange(len(rows))[:, None] * 4 + np.array([0, 1, 2, 0, 2, 3])
    return Part(str(kind), np.concatenate(rows), triangles, rng.integers(30, 230, (1, 2, 3), np.uint8))


class ModelRenderer:
    """Sprites of the models in a folder, if given, and of furniture."""

    def __init__(self, folder: Path | None) -> None:
        self.models = [AnimatedModel(path) for path in sorted(folder.glob("*.glb"))] if folder else []

    @cached_property
    def device(self) -> Any:
        """The OpenGL context with a program and a target."""
        import moderngl

        context, size = moderngl.create_context(standalone=True, backend="egl"), (2 * MODEL_SIDE, 2 * MODEL_SIDE)
        program = context.program(VERTEX_SHADER, FRAGMENT_SHADER)
        target = context.framebuffer([context.texture(size, 4)], context.depth_renderbuffer(size))
        context.enable(moderngl.DEPTH_TEST)
        return context, program, target

    def render_group(
        self, rng: Generator, count: int, frames: int, pattern: np.ndarray
    ) -> tuple[list[list[np.ndarray]], str]:
        """Render ``count`` copies of a model, each with its own movement and ``frames`` sprites; also return a name."""
        if not self.models or rng.random() < 0.35:
            parts, name, turning = [build_furniture(rng)], "furniture", 0.5
            poses = [np.tile(np.eye(4), (frames, 1, 1, 1))] * count
        else:
            model, turning = self.models[int(rng.integers(len(self.models)))], 1.0
            bare = {part.name for part in model.parts
                    if part.inverse is None and rng.random() < (0.3 if WORN.search(part.name) else 0.85)}  # fmt: skip
            parts, name = [part for part in model.parts if part.name not in bare], f"model/{model.name}"
            chosen = rng.integers(len(model.animations), size=count)
            chosen = np.full(count, chosen[0]) if rng.random() < 0.5 else chosen
            starts, steps = rng.uniform(0, 2, count), rng.uniform(0.04, 0.1, count)
            times = starts[:, None] + steps[:, None] * np.arange(frames)
            poses = [model.pose(model.animations[k], at) for k, at in zip(chosen, times, strict=True)]
        yaws = rng.uniform(0, 2 * math.pi, (count, 1)) + rng.normal(0, turning, (count, 1)) * np.linspace(0, 1, frames)
        return self._draw(parts, poses, yaws, pattern, rng), name

    def _draw(
        self, parts: Sequence[Part], poses: Sequence[np.ndarray], yaws: np.ndarray, pattern: np.ndarray, rng: Generator
    ) -> list[list[np.ndarray]]:
        """Draw F sprites for each of several poses F×N×4×4 and angles F, from a random height."""
        context, program, target = self.device
        textures = [context.texture(image.shape[1::-1], 3, np.ascontiguousarray(image).tobytes(), alignment=1)
                    for image in (pattern, *(part.texture for part in parts))]  # fmt: skip
        buffers = [(context.buffer(part.vertices.astype("f4").tobytes()), context.buffer(part.triangles.astype("u4").tobytes()))
                   for part in parts]  # fmt: skip
        inputs = ("3f 3f 2f 4f 4f", "point", "normal", "uv", "joint", "weight")
        arrays = [context.vertex_array(program, [(vertices, *inputs)], indices) for vertices, indices in buffers]
        points = np.concatenate([
            part.vertices[:, :3] if part.inverse is not None or len(poses[0][0]) == 1
            else part.vertices[:, :3] + poses[0][0][part.joints[0], :3, 3] for part in parts
        ])  # fmt: skip
        center, radius = (points.min(0) + points.max(0)) / 2, float(np.linalg.norm(np.ptp(points, axis=0))) / 2 * 1.15
        pitch, perspective = rng.uniform(0, 0.5), np.eye(4)
        perspective[2, 2], perspective[3, 2] = -0.4, -0.22
        program["mixing"].value, program["repeat"].value = rng.choice([0.2, 0.6, 0.9]), rng.uniform(0.15, 0.8) / radius
        program["base"].value, program["pattern"].value = 1, 0
        textures[0].use(0)
        sprites = []
        for pose, angles in zip(poses, yaws, strict=True):
            images = []
            for matrices, yaw in zip(pose, angles, strict=True):
                turn, view = Rotation.from_euler("yx", [yaw, pitch]).as_matrix(), np.eye(4)
                view[:3, :3], view[:3, 3] = turn / radius, -turn @ center / radius
                program["view"].write((perspective @ view).T.astype("f4").tobytes())
                program["sun"].value = tuple(turn.T @ np.array([0.5, 0.6, 0.62]))
                target.use()
                target.clear(0, 0, 0, 0)
                for part, texture, array in zip(parts, textures[1:], arrays, strict=True):
                    bones = np.zeros((96, 4, 4), np.float32)
                    moves = matrices[part.joints] if part.inverse is None else matrices[part.joints] @ part.inverse
                    bones[: len(moves)] = moves.mT
                    program["bones"].write(bones.tobytes())
                    texture.use(1)
                    array.render()
                image = np.frombuffer(target.read(components=4), np.uint8).reshape(2 * MODEL_SIDE, 2 * MODEL_SIDE, 4)
                images.append(cv2.resize(image[::-1], (MODEL_SIDE, MODEL_SIDE), interpolation=cv2.INTER_AREA))
            sprites.append(images)
        for each in (*arrays, *textures, *(buffer for pair in buffers for buffer in pair)):
            each.release()
        return sprites
