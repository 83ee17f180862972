"""Animated glTF characters and generated furniture, rendered by OpenGL (moderngl; Mesa's llvmpipe without a GPU)."""

import io
import json
import math
import re
import struct
from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.random import Generator
from scipy.spatial.transform import Rotation

from aotlab.media.images import decode_image

SIDE = 384
"""Side of an image of a model in pixels; sprites have half of it."""
STILL, WORN = re.compile("Pose|Idle|Lie_Down"), re.compile("Helmet|Cape|Hat|Hood")
"""Names of animations that hardly move, and of loose parts that a character usually wears."""
COMPONENTS = {5120: np.int8, 5121: np.uint8, 5122: np.int16, 5123: np.uint16, 5125: np.uint32, 5126: np.float32}
REST = np.eye(4)[None]
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


class Part(NamedTuple):
    """Triangles with one texture that follow nodes of a model."""

    name: str
    vertices: np.ndarray  # V×16 float32: point, normal, texture coordinates, four indices of joints, their weights
    triangles: np.ndarray  # indices of vertices
    texture: np.ndarray  # H×W×3 uint8
    joints: Sequence[int] = (0,)  # indices of nodes
    inverse: np.ndarray = REST  # joints×4×4, from the model at rest to each joint


class AnimatedModel:
    """A binary glTF file with textures, skins and animations."""

    def __init__(self, path: Path) -> None:
        content = path.read_bytes()
        length = struct.unpack("<I", content[12:16])[0]
        self.tree, self.binary = json.loads(content[20 : 20 + length]), content[28 + length :]
        self.nodes = self.tree["nodes"]
        self.animations = [each for each in self.tree["animations"] if not STILL.search(each["name"])]

    def read_array(self, index: int) -> np.ndarray:
        """Return an accessor's N×K array."""
        accessor = self.tree["accessors"][index]
        view = self.tree["bufferViews"][accessor["bufferView"]]
        kind, width = np.dtype(COMPONENTS[accessor["componentType"]]), WIDTHS[accessor["type"]]
        start = view.get("byteOffset", 0) + accessor.get("byteOffset", 0)
        strides = (view.get("byteStride", kind.itemsize * width), kind.itemsize)
        return np.ndarray((accessor["count"], width), kind, self.binary, start, strides).copy()

    def read_texture(self, material: int) -> np.ndarray:
        """Return the base color of a material, H×W×3 uint8."""
        texture = self.tree["materials"][material]["pbrMetallicRoughness"]["baseColorTexture"]["index"]
        image = self.tree["images"][self.tree["textures"][texture]["source"]]
        view = self.tree["bufferViews"][image["bufferView"]]
        content = self.binary[view.get("byteOffset", 0) :][: view["byteLength"]]
        return np.asarray(decode_image(io.BytesIO(content)).convert("RGB"))

    @cached_property
    def parts(self) -> list[Part]:
        """All meshes, at rest."""
        parts = []
        for index, node in enumerate(self.nodes):
            for mesh in self.tree["meshes"][node["mesh"]]["primitives"] if "mesh" in node else ():
                read = {key: self.read_array(each) for key, each in mesh["attributes"].items()}
                columns, joints, inverse = [read["POSITION"], read["NORMAL"], read["TEXCOORD_0"]], [index], REST
                if "skin" in node:
                    skin = self.tree["skins"][node["skin"]]
                    columns += [read["JOINTS_0"], read["WEIGHTS_0"]]
                    joints = skin["joints"]
                    inverse = self.read_array(skin["inverseBindMatrices"]).reshape(-1, 4, 4).swapaxes(1, 2)
                else:
                    columns.append(np.tile(np.eye(8)[4], (len(columns[0]), 1)))
                triangles, texture = self.read_array(mesh["indices"]).ravel(), self.read_texture(mesh["material"])
                parts.append(Part(node["name"], np.hstack(columns).astype("f4"), triangles, texture, joints, inverse))
        return parts

    def pose(self, animation: Mapping[str, Any], seconds: np.ndarray) -> np.ndarray:
        """Return the matrices of all nodes at F times, F×N×4×4."""
        shape, local = (len(seconds), len(self.nodes)), {}
        for key, rest in {"translation": [0, 0, 0], "rotation": [0, 0, 0, 1], "scale": [1, 1, 1]}.items():
            local[key] = np.tile(np.array([node.get(key, rest) for node in self.nodes], float), (len(seconds), 1, 1))
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
    boxes: list[tuple[float, ...]] = [(0, height, 0, width, height + rng.uniform(0.03, 0.12), depth)]
    boxes += [(x, 0, z, x + leg, height, z + leg) for x in (0, width - leg) for z in (0, depth - leg)]
    if kind == "chair":
        boxes += [(x, height, 0, x + leg, back, leg) for x in (0, width - leg)]
        boxes.append((0, height + rng.choice([0, 0.2]), 0, width, back, leg))
    elif kind == "shelf":
        boxes += [(0, y, 0, width, y + leg, depth) for y in np.linspace(0, height, int(rng.integers(2, 4)))]
    square, rows = np.array([[0, 0], [1, 0], [1, 1], [0, 1]]), []
    for number, box in enumerate(np.array(boxes)):
        for axis, end in np.ndindex(3, 2):
            points = box[:3] + np.insert(square, axis, end, axis=1) * (box[3:] - box[:3])
            rest = [*(2 * end - 1) * np.eye(3)[axis], 0.75 if number else 0.25, 0, *np.eye(8)[4]]
            rows.append(np.hstack([points, np.tile(rest, (4, 1))]))
    triangles = np.arange(len(rows))[:, None] * 4 + np.array([0, 1, 2, 0, 2, 3])
    return Part(str(kind), np.concatenate(rows).astype("f4"), triangles, rng.integers(30, 230, (1, 2, 3), np.uint8))


class ModelRenderer:
    """Sprites of the characters in a folder, ``*.glb``, and of furniture."""

    def __init__(self, folder: Path) -> None:
        import moderngl

        self.models = [AnimatedModel(path) for path in sorted(folder.glob("*.glb"))]
        self.context = context = moderngl.create_context(standalone=True, backend="egl")
        self.program = context.program(VERTEX_SHADER, FRAGMENT_SHADER)
        self.target = context.framebuffer([context.texture((SIDE, SIDE), 4)], context.depth_renderbuffer((SIDE, SIDE)))
        context.enable(moderngl.DEPTH_TEST)

    def render_group(self, rng: Generator, count: int, frames: int, pattern: np.ndarray) -> list[list[np.ndarray]]:
        """Return ``frames`` sprites of each of ``count`` copies of a model, each copy with its own movement.

        ``pattern``: texture H×W×3 uint8 that is mixed into the colors. Sprites are S×S×4 uint8 RGBA, with colors
        multiplied by alpha.
        """
        yaws = rng.uniform(0, 2 * math.pi, (count, 1)) + rng.normal(0, 0.8, (count, 1)) * np.linspace(0, 1, frames)
        if not self.models or rng.random() < 0.35:
            poses = [np.tile(np.eye(4), (frames, 1, 1, 1))] * count
            return self._draw([build_furniture(rng)], poses, yaws, pattern, rng)
        model = self.models[int(rng.integers(len(self.models)))]
        parts = [part for part in model.parts
                 if len(part.joints) > 1 or rng.random() < (0.7 if WORN.search(part.name) else 0.15)]  # fmt: skip
        chosen = rng.integers(len(model.animations), size=count if rng.random() < 0.5 else 1)
        times = rng.uniform(0, 2, (count, 1)) + rng.uniform(0.04, 0.1, (count, 1)) * np.arange(frames)
        poses = [model.pose(model.animations[chosen[k % len(chosen)]], at) for k, at in enumerate(times)]
        return self._draw(parts, poses, yaws, pattern, rng)

    def _draw(
        self, parts: Sequence[Part], poses: Sequence[np.ndarray], yaws: np.ndarray, pattern: np.ndarray, rng: Generator
    ) -> list[list[np.ndarray]]:
        """Draw F sprites for each of several poses F×N×4×4 and rows of angles F, from one random height."""
        context, program = self.context, self.program
        textures = [context.texture(image.shape[1::-1], 3, image.tobytes(), alignment=1)
                    for image in map(np.ascontiguousarray, (pattern, *(part.texture for part in parts)))]  # fmt: skip
        inputs = ("3f 3f 2f 4f 4f", "point", "normal", "uv", "joint", "weight")
        buffers = [
            [context.buffer(each.tobytes()) for each in (part.vertices, part.triangles.astype("u4"))] for part in parts
        ]
        arrays = [context.vertex_array(program, [(vertices, *inputs)], indices) for vertices, indices in buffers]
        points = np.concatenate([part.vertices[:, :3] for part in parts if len(part.joints) > 1 or len(parts) == 1])
        center, radius = (points.min(0) + points.max(0)) / 2, float(np.linalg.norm(np.ptp(points, axis=0))) * 0.58
        pitch, view = rng.uniform(0, 0.5), np.eye(4)
        program["mixing"].value, program["repeat"].value = rng.choice([0.2, 0.6, 0.9]), rng.uniform(0.15, 0.8) / radius
        program["base"].value, program["pattern"].value, sprites = 1, 0, []
        textures[0].use(0)
        for matrices, yaw in zip(np.concatenate(poses), yaws.ravel(), strict=True):
            turn, bones = Rotation.from_euler("yx", [yaw, pitch]).as_matrix(), np.zeros((96, 4, 4), np.float32)
            view[:3, :3], view[:3, 3] = turn / radius, -turn @ center / radius
            view[2], view[3] = -0.4 * view[2], [0, 0, 0, 1] - 0.22 * view[2]  # near parts larger
            program["view"].write(view.T.astype("f4").tobytes())
            program["sun"].value = tuple(turn.T @ [0.5, 0.6, 0.62])
            self.target.use()
            self.target.clear(0, 0, 0, 0)
            for part, texture, array in zip(parts, textures[1:], arrays, strict=True):
                bones[: len(part.joints)] = (matrices[list(part.joints)] @ part.inverse).swapaxes(1, 2)
                program["bones"].write(bones.tobytes())
                texture.use(1)
                array.render()
            image = np.frombuffer(self.target.read(components=4), np.uint8).reshape(SIDE, SIDE, 4)
            sprites.append(cv2.resize(image[::-1], (SIDE // 2, SIDE // 2), interpolation=cv2.INTER_AREA))
        for each in (*arrays, *textures, *chain.from_iterable(buffers)):
            each.release()
        return [sprites[start : start + len(yaws[0])] for start in range(0, len(sprites), len(yaws[0]))]
