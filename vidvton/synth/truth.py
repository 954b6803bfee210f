"""What is known of every pixel: labels, masks, surface and garment coordinates, depth, normals, exact flow, joints, the
agnostic region."""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from vidvton.synth.agnostic import agnostic_region
from vidvton.synth.camera import Camera
from vidvton.synth.figure import GARMENT
from vidvton.synth.film import Plate, Shot
from vidvton.synth.raster import Hits, blend
from vidvton.synth.stage import corners_at

FLOW_STEP = 1 / 64
"""Pixels per unit of the stored int16 flow."""


@dataclass(frozen=True)
class Truth:
    """Truth of T frames; pictures are [T, H, W] at pixel centres, flow [T, H, W, 2] as (dx, dy) in pixels.

    `labels` uint8 CIHP-20; `person` bool; `garment` uint8: 0 none, else 1 + the layer of the garment seen; `piece` uint8
    `values.Part` of
    it; `garment_xy` float16 [T, H, W, 2] flat metres (the shop picture's own coordinates, x to the picture's right in the
    front view) and
    `garment_back` bool, from the back side of the flat garment; `garment_touch` uint8, bit i set where garment i has any
    part in the
    pixel's colour (its edges are mixed with what lies beside); `part` uint8 body surface (surface.PARTS) and `part_uv` uint8
    [T, H, W, 2] in
    1/255; `depth` float32 metres along the camera's axis (60 = sky); `normal` int8 [T, H, W, 3] in camera axes (x right, y
    down, z
    forward) in 1/127, zero off the person; `light` uint8, 255 = full key light in the pixel; `flow_forward` and
    `flow_backward` int16 in
    FLOW_STEP
    pixels to the next and the previous frame (zero in the last and the first), `hidden_forward` and `hidden_backward` bool:
    what is
    seen here is covered or out of the picture there; `keypoints` float32 [T, 33, 3] x, y in pixels and visibility 0 or 1;
    `keypoints_3d` float32 [T, 33, 3] metres in camera axes; `joints_3d` float32 [T, 23, 3] the same for skeleton.JOINTS;
    `region` bool,
    the agnostic region of the target garment; `yaw` float32 [T] as in PoseTrack.
    """

    labels: Tensor
    person: Tensor
    garment: Tensor
    piece: Tensor
    garment_xy: Tensor
    garment_back: Tensor
    garment_touch: Tensor
    part: Tensor
    part_uv: Tensor
    depth: Tensor
    normal: Tensor
    light: Tensor
    flow_forward: Tensor
    flow_backward: Tensor
    hidden_forward: Tensor
    hidden_backward: Tensor
    keypoints: Tensor
    keypoints_3d: Tensor
    joints_3d: Tensor
    region: Tensor
    yaw: Tensor

    def __len__(self) -> int:
        return len(self.labels)


def name_of_fields() -> tuple[str, ...]:
    """The names of Truth's pictures and tables, in order."""
    return tuple(f.name for f in fields(Truth))


def _spread(hits: Hits, values: Tensor, empty: float = 0) -> Tensor:
    """Values [N, ...] of the hits as pictures [n, H, W, ...]."""
    out = torch.full((*hits.covered.shape, *values.shape[1:]), empty, dtype=values.dtype, device=values.device)
    out[hits.covered] = values
    return out


def plate_truth(shot: Shot, plate: Plate) -> dict[str, Tensor]:
    """The truth of a plate that needs no other frame, by field name of Truth, on the CPU."""
    f, hits = shot.performance.figure, plate.hits
    layer = f.layer[hits.face]
    worn = layer >= GARMENT
    flat = blend(torch.cat([f.flat, f.side[:, None]], -1), f.faces, hits)
    uv = f.uv[f.faces[hits.face]]
    jump = (uv[..., 0].amax(1) - uv[..., 0].amin(1)) > 0.5  # a triangle across the seam of u
    u = torch.where(jump[:, None] & (uv[..., 0] < 0.5), uv[..., 0] + 1, uv[..., 0])
    uv = torch.stack([(u * hits.weights).sum(1) % 1.0, (uv[..., 1] * hits.weights).sum(1)], -1)
    camera = shot.camera.window(plate.frames).to(hits.depth.device)
    normal = (camera.rotation[hits.frame] @ plate.normal[..., None])[..., 0]
    labels = _spread(hits, f.label[hits.face])
    depth = plate.behind.depth.clone()
    depth[hits.covered] = hits.depth
    out = {
        "labels": labels,
        "person": hits.covered,
        "garment": _spread(hits, torch.where(worn, layer - GARMENT + 1, 0).to(torch.uint8)),
        "piece": _spread(hits, torch.where(worn, f.piece[hits.face], 0).to(torch.uint8)),
        "garment_xy": _spread(hits, torch.where(worn[:, None], flat[:, :2], 0.0).half()),
        "garment_back": _spread(hits, (flat[:, 2] < 0) & worn),
        "garment_touch": plate.touched,
        "part": _spread(hits, f.part[hits.face]),
        "part_uv": _spread(hits, (uv.clamp(0, 1) * 255).round().to(torch.uint8)),
        "depth": depth,
        "normal": _spread(hits, (normal * 127).round().to(torch.int8)),
        "light": (plate.lit * 255).round().to(torch.uint8),
    }
    return {name: value.cpu() for name, value in out.items()}


@dataclass(frozen=True)
class Sight:
    """What flow needs to remember of a plate: person hits and the backdrop's points, on the device that drew them."""

    frames: Tensor
    hits: Hits
    point: Tensor
    speed: Tensor


def sight(plate: Plate) -> Sight:
    """The memory of a plate."""
    return Sight(plate.frames, plate.hits, plate.behind.point, plate.behind.speed)


def flow_to(shot: Shot, seen: Sight, step: int, depth: Tensor) -> tuple[Tensor, Tensor]:
    """(flow [n, H, W, 2] float32 pixels, hidden [n, H, W] bool) from the frames of a plate to those `step` (+1 or -1) later.

    `depth` [T, H, W] metres of the whole shot. The person's points are the same places on the same triangles, the backdrop's
    the same
    points of the world, moved by their own speed. Hidden: outside the picture, or nothing seen there lies at the point's depth.
    """
    device = seen.point.device
    there = (seen.frames + step).clamp(0, len(shot.performance) - 1)
    camera = shot.camera.window(there).to(device)
    world, _ = corners_at(shot.performance, there)
    point = seen.point + seen.speed * (step / shot.fps)
    point[seen.hits.covered] = blend(world, shot.performance.figure.faces, seen.hits)
    height, width = shot.size
    target = camera.project(point, shot.size)
    ys, xs = torch.meshgrid(torch.arange(height, device=device) + 0.5, torch.arange(width, device=device) + 0.5, indexing="ij")
    flow = target[..., :2] - torch.stack([xs, ys], -1)
    hidden = _hidden(target, depth[there].to(device))
    return flow, hidden


def _hidden(target: Tensor, depth: Tensor) -> Tensor:
    """Whether points at (x, y, depth) `target` [n, H, W, 3] are out of the picture or not what `depth` [n, H, W] shows there."""
    n, height, width = depth.shape
    x, y, z = target.unbind(-1)
    outside = (x < 0.5) | (y < 0.5) | (x > width - 0.5) | (y > height - 0.5) | (z < 0.05)
    i, j = (x - 0.5).floor().long().clamp(0, width - 2), (y - 0.5).floor().long().clamp(0, height - 2)
    base = torch.arange(n, device=depth.device)[:, None, None] * (height * width) + j * width + i
    flat = depth.flatten()
    near = torch.stack([flat[base], flat[base + 1], flat[base + width], flat[base + width + 1]])
    # All four neighbours must belong to the same surface: where one does not, the pixel shows a mixture.
    wrong = ((near - z).abs() > 0.03 + 0.015 * z).any(0)
    return outside | wrong


def keypoint_truth(shot: Shot, depth: Tensor) -> dict[str, Tensor]:
    """Joints in pixels with visibility, and in camera axes, for the whole shot; `depth` [T, H, W] decides what is covered."""
    p, camera = shot.performance, shot.camera
    pixels = camera.project(p.keypoints, shot.size)
    height, width = shot.size
    x, y, z = pixels.unbind(-1)
    inside = (x >= 0) & (y >= 0) & (x < width) & (y < height) & (z > 0.05)
    i, j = x.floor().long().clamp(0, width - 1), y.floor().long().clamp(0, height - 1)
    seen = torch.stack([depth[t, j[t], i[t]] for t in range(len(depth))])
    thick = torch.full((33,), 0.13)
    thick[:11] = 0.06
    thick[13:23] = 0.09
    thick[27:] = 0.10
    visible = inside & (z - seen < thick * p.dressed.look.body.scale)
    side = p.joints[:, 6] - p.joints[:, 11]
    forward = torch.stack([-side[:, 2], side[:, 0]], -1)  # x, z of where the chest faces
    to_camera = camera.centre - p.joints[:, 2]
    yaw = torch.atan2(forward[:, 0], forward[:, 1]) - torch.atan2(to_camera[:, 0], to_camera[:, 2])
    yaw = -torch.atan2(yaw.sin(), yaw.cos())
    return {
        "keypoints": torch.cat([pixels[..., :2], visible[..., None].float()], -1),
        "keypoints_3d": camera.local(p.keypoints),
        "joints_3d": camera.local(p.joints),
        "yaw": yaw,
    }


def pack_flow(flow: Tensor) -> Tensor:
    """int16 in FLOW_STEP pixels, at most +-511 pixels."""
    return (flow / FLOW_STEP).round().clamp(-32767, 32767).to(torch.int16).cpu()


def find_truth(shot: Shot, pieces: list[dict[str, Tensor]], sights: list[Sight], category: str) -> Truth:
    """Puts the truth of all plates of a shot together and adds what needs neighbours: flow, joints, the agnostic region."""
    whole = {name: torch.cat([piece[name] for piece in pieces]) for name in pieces[0]}
    depth = whole["depth"]
    for name, step in (("forward", 1), ("backward", -1)):
        flows, hiddens = zip(*((pack_flow(f), h.cpu()) for f, h in (flow_to(shot, s, step, depth) for s in sights)))
        flow, hidden = torch.cat(flows), torch.cat(hiddens)
        end = -1 if step == 1 else 0
        flow[end], hidden[end] = 0, True
        whole[f"flow_{name}"], whole[f"hidden_{name}"] = flow, hidden
    whole |= keypoint_truth(shot, depth)
    whole["region"] = agnostic_region(whole["labels"], whole["person"], _limbs(shot), category)
    return Truth(**whole)


def _limbs(shot: Shot) -> Tensor:
    """[T, 23, 3] joints as x, y in pixels and pixels per metre at their depth."""
    pixels = shot.camera.project(shot.performance.joints, shot.size)
    scale = shot.camera.focal[:, None] * shot.size[0] / pixels[..., 2].clamp_min(0.1) * shot.performance.dressed.look.body.scale
    return torch.cat([pixels[..., :2], scale[..., None]], -1)


def camera_table(camera: Camera) -> dict[str, list]:
    """The camera as plain lists, for a manifest: world to camera rotations, centres in metres, focal lengths in picture
    heights."""
    return {"rotation": camera.rotation.tolist(), "centre": camera.centre.tolist(), "focal": camera.focal.tolist()}
