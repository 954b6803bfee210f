"""MediaPipe as a backend: the only file that imports it.

We do not use the ready-made `solutions.Pose`, which follows one body and smooths with a lag. The same models (all inside the
wheel) are run through three small graphs of our own: the body detector, which finds several people; the landmark model on one
upright square of 256 pixels, cut by us out of the full-size frame; and the face detector. Following is the model's own recipe:
the two alignment points of one frame give the next frame's square.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from math import atan2, cos, hypot, pi, sin
from types import ModuleType

import cv2
import numpy as np
from torch import Tensor

from vidvton.frames import as_arrays
from vidvton.people.estimators import STATE_WIDTH, Body, Estimators
from vidvton.people.hush import hush
from vidvton.people.pictures import shrink
from vidvton.people.plausible import fit_to_mask, phantom_of, piece_of

_SIDE = 256
_MARGIN = 1.25  # of the square around a body, as in MediaPipe's PoseLandmarksToRoi
_MIRRORED = 1 / 6  # of the picture's height: how far it goes on above itself, less than would show a body upside down
_UPRIGHT = 0.5  # radians off the vertical up to which a body's head may be above the picture
_KEEP = 0.35  # presence under which a body is let go
_DETECT_EVERY = 24  # frames between searches for further people while somebody is followed
_RETRY_EVERY = 6  # frames between searches while the skeleton does not fit its mask
_LOST = 0.6
_MOST = 4  # bodies followed at once
_PART = 0.62  # of a photograph's longer side, that a part of it has which is looked through
_TRIES = 3  # squares that a photograph is looked at through

_INFERENCE = """
node {{ calculator: "ImageToTensorCalculator" input_stream: "IMAGE:image" output_stream: "TENSORS:input"
  output_stream: "LETTERBOX_PADDING:letterbox" options {{ [mediapipe.ImageToTensorCalculatorOptions.ext] {{
    output_tensor_width: {side} output_tensor_height: {side} keep_aspect_ratio: true
    output_tensor_float_range {{ min: {low} max: 1 }} gpu_origin: TOP_LEFT border_mode: BORDER_ZERO }} }} }}
node {{ calculator: "InferenceCalculatorCpu" input_stream: "TENSORS:input" output_stream: "TENSORS:tensors"
  options {{ [mediapipe.InferenceCalculatorOptions.ext] {{ model_path: "mediapipe/modules/{model}"
    delegate {{ xnnpack {{ num_threads: 1 }} }} }} }} }}
"""

_LANDMARK_GRAPH = (
    'input_stream: "image" output_stream: "marks" output_stream: "world" output_stream: "presence" output_stream: "mask"'
    + _INFERENCE.format(side=_SIDE, low=0, model="pose_landmark/pose_landmark_full.tflite")
    + """
node { calculator: "SplitTensorVectorCalculator" input_stream: "tensors" output_stream: "t0" output_stream: "t1"
  output_stream: "t2" output_stream: "t3" output_stream: "t4" options { [mediapipe.SplitVectorCalculatorOptions.ext] {
    ranges { begin: 0 end: 1 } ranges { begin: 1 end: 2 } ranges { begin: 2 end: 3 } ranges { begin: 3 end: 4 }
    ranges { begin: 4 end: 5 } } } }
node { calculator: "TensorsToFloatsCalculator" input_stream: "TENSORS:t1" output_stream: "FLOAT:presence" }
node { calculator: "TensorsToLandmarksCalculator" input_stream: "TENSORS:t0" output_stream: "NORM_LANDMARKS:raw"
  options { [mediapipe.TensorsToLandmarksCalculatorOptions.ext] { num_landmarks: 39 input_image_width: 256
    input_image_height: 256 visibility_activation: SIGMOID presence_activation: SIGMOID } } }
node { calculator: "RefineLandmarksFromHeatmapCalculator" input_stream: "NORM_LANDMARKS:raw" input_stream: "TENSORS:t3"
  output_stream: "NORM_LANDMARKS:marks"
  options { [mediapipe.RefineLandmarksFromHeatmapCalculatorOptions.ext] { kernel_size: 7 } } }
node { calculator: "TensorsToLandmarksCalculator" input_stream: "TENSORS:t4" output_stream: "LANDMARKS:world"
  options { [mediapipe.TensorsToLandmarksCalculatorOptions.ext] { num_landmarks: 39 } } }
node { calculator: "TensorsToSegmentationCalculator" input_stream: "TENSORS:t2" output_stream: "MASK:mask"
  options { [mediapipe.TensorsToSegmentationCalculatorOptions.ext] { gpu_origin: TOP_LEFT activation: SIGMOID } } }
"""
)

_SEGMENTER_GRAPH = (
    'input_stream: "image" output_stream: "mask"'
    + _INFERENCE.format(side=_SIDE, low=0, model="selfie_segmentation/selfie_segmentation.tflite")
    + """
node { calculator: "TensorsToSegmentationCalculator" input_stream: "TENSORS:tensors" output_stream: "MASK:mask"
  options { [mediapipe.TensorsToSegmentationCalculatorOptions.ext] { gpu_origin: TOP_LEFT activation: NONE } } }
"""
)

_DETECTOR_TAIL = """
node {{ calculator: "SsdAnchorsCalculator" output_side_packet: "anchors" options {{ [mediapipe.SsdAnchorsCalculatorOptions.ext] {{
  input_size_width: {side} input_size_height: {side} min_scale: 0.1484375 max_scale: 0.75 anchor_offset_x: 0.5
  anchor_offset_y: 0.5 num_layers: {layers} {strides} aspect_ratios: 1 fixed_anchor_size: true {extra} }} }} }}
node {{ calculator: "TensorsToDetectionsCalculator" input_stream: "TENSORS:tensors" output_stream: "DETECTIONS:raw"
  input_side_packet: "ANCHORS:anchors" options {{ [mediapipe.TensorsToDetectionsCalculatorOptions.ext] {{ num_classes: 1
    num_boxes: {boxes} num_coords: {coords} x_scale: {side} y_scale: {side} w_scale: {side} h_scale: {side}
    keypoint_coord_offset: 4 num_keypoints: {points} num_values_per_keypoint: 2 box_coord_offset: 0
    reverse_output_order: true sigmoid_score: true score_clipping_thresh: 100 min_score_thresh: {score} }} }} }}
node {{ calculator: "NonMaxSuppressionCalculator" input_stream: "raw" output_stream: "kept" options {{
  [mediapipe.NonMaxSuppressionCalculatorOptions.ext] {{ min_suppression_threshold: 0.3
    overlap_type: INTERSECTION_OVER_UNION algorithm: WEIGHTED }} }} }}
node {{ calculator: "DetectionLetterboxRemovalCalculator" input_stream: "DETECTIONS:kept"
  input_stream: "LETTERBOX_PADDING:letterbox" output_stream: "DETECTIONS:detections" }}
"""
_DETECTOR_GRAPH = (
    'input_stream: "image" output_stream: "detections"'
    + _INFERENCE.format(side=224, low=-1, model="pose_detection/pose_detection.tflite")
    + _DETECTOR_TAIL.format(
        side=224, layers=5, strides="strides: 8 strides: 16 strides: 32 strides: 32 strides: 32", extra="", boxes=2254,
        coords=12, points=4, score=0.4,
    )
)  # fmt: skip
_FACE_GRAPH = (
    'input_stream: "image" output_stream: "detections"'
    + _INFERENCE.format(side=128, low=-1, model="face_detection/face_detection_short_range.tflite")
    + _DETECTOR_TAIL.format(
        side=128, layers=4, strides="strides: 8 strides: 16 strides: 16 strides: 16",
        extra="interpolated_scale_aspect_ratio: 1.0", boxes=896, coords=16, points=6, score=0.3,
    )
)  # fmt: skip


def _bindings() -> ModuleType:
    """`mediapipe.python`: graphs, packets, images. `mediapipe` itself would open its ready-made solutions and tasks too, and with
    them matplotlib and sounddevice, for 0.7 s and 60 MiB; here that waits until somebody asks it for one of them."""
    if "mediapipe" not in sys.modules:
        spec = importlib.util.find_spec("mediapipe")
        package = importlib.util.module_from_spec(spec)

        def open_it(name: str) -> object:
            if name.startswith("__"):
                raise AttributeError(name)
            del package.__getattr__
            spec.loader.exec_module(package)
            return getattr(package, name)

        package.__getattr__ = open_it
        sys.modules["mediapipe"] = package
    import mediapipe.framework.formats.detection_pb2  # the messages that packets hold
    import mediapipe.framework.formats.landmark_pb2
    import mediapipe.python

    return mediapipe.python


class _Graph:
    """One running graph: picture in, packets out."""

    def __init__(self, text: str, side: int) -> None:
        os.environ.setdefault("GLOG_minloglevel", "2")
        with hush():  # set-up and first run chatter
            mp = _bindings()
            mp.resource_util.set_resource_dir(os.path.dirname(os.path.dirname(os.path.dirname(mp.__file__))))
            self._mp = mp
            self._graph = mp.CalculatorGraph(graph_config=text)
            self._got: dict[str, object] = {}
            self._time = 0
            for line in text.split("node {", 1)[0].split("output_stream:")[1:]:
                self._graph.observe_output_stream(line.strip().strip('"'), self._keep)
            self._graph.start_run()
            self(np.zeros((side, side, 3), np.uint8))  # the first run prints warnings

    def _keep(self, stream: str, packet: object) -> None:
        self._got[stream] = packet

    def __call__(self, picture: np.ndarray) -> dict[str, object]:
        self._got.clear()
        self._time += 1
        frame = self._mp.ImageFrame(image_format=self._mp.ImageFormat.SRGB, data=np.ascontiguousarray(picture))
        self._graph.add_packet_to_input_stream("image", self._mp.packet_creator.create_image_frame(frame).at(self._time))
        self._graph.wait_until_idle()
        return self._got

    def detections(self, picture: np.ndarray) -> list:
        """Detection protos (coordinates 0-1 of the picture), best first."""
        packet = self(picture).get("detections")
        return [] if packet is None else self._mp.packet_getter.get_proto_list(packet)


class MediaPipePose:
    """Follows up to four bodies with BlazePose GHUM full. Implements `PoseEstimator`."""

    def __init__(self) -> None:
        self._detector = _Graph(_DETECTOR_GRAPH, 224)
        self._marks = _Graph(_LANDMARK_GRAPH, _SIDE)

    def follow(self, frames: Tensor, state: np.ndarray | None = None) -> tuple[list[list[Body]], np.ndarray]:
        """See `PoseEstimator.follow`. A state row is (thread, x, y, side, angle); the first row counts
        frames and threads and remembers a doubt."""
        if state is None or not len(state):
            state = np.zeros((1, STATE_WIDTH), np.float32)
        seen, threads = int(state[0, 0]), int(state[0, 1])
        squares = {int(row[0]): tuple(float(v) for v in row[1:]) for row in state[1:]}
        found: list[list[Body]] = []
        doubtful, alone = bool(state[0, 2]), len(frames) == 1 and seen == 0
        for picture in as_arrays(frames):
            lost = seen % _RETRY_EVERY == 0 and doubtful
            if not squares or lost or seen % _DETECT_EVERY == 0:
                parts = _parts(picture.shape, everywhere=alone, long=seen % (2 * _DETECT_EVERY) == 0)
                for square in self._search(picture, list(squares.values()), parts):
                    if alone or self._landmarks(picture, square, 0, mirrored=False)[0].score >= _KEEP:
                        squares[threads] = self._settled(picture, square) if alone else square
                        threads += 1
            bodies, squares = self._advance(picture, squares)
            if alone:  # looked for everywhere, people are found in faces and patterns
                bodies = [b for b in bodies if not any(piece_of(other, b) for other in bodies if other is not b)]
            doubtful = any(fit_to_mask(b) < _LOST for b in bodies)
            found.append(bodies)
            seen += 1
        rows = [(seen, threads, float(doubtful), 0, 0)] + [(thread, *square) for thread, square in squares.items()]
        return found, np.array(rows, np.float32)

    def _advance(self, picture: np.ndarray, squares: dict[int, tuple]) -> tuple[list[Body], dict[int, tuple]]:
        bodies: list[Body] = []
        after: dict[int, tuple] = {}
        for thread, square in squares.items():
            body, following = self._landmarks(picture, square, thread)
            if body.score < _KEEP or not _inside(following, picture.shape) or any(_same(body, other) for other in bodies):
                continue
            bodies.append(body)
            after[thread] = following
        kept = [b for b in bodies if not any(phantom_of(other, b) for other in bodies if other is not b)]
        return kept, {b.thread: after[b.thread] for b in kept}

    def _settled(self, picture: np.ndarray, square: tuple) -> tuple:
        """The square out of which somebody in a photograph is seen best. The detector's own is a first guess, by a face or hips
        alone; in a film the frames lead on to a better one."""
        tried = []
        for _ in range(_TRIES):
            body, following = self._landmarks(picture, square, 0)
            tried.append((body.score * fit_to_mask(body), square))
            if not _inside(following, picture.shape):
                break
            square = following
        return max(tried)[1]

    def _search(self, picture: np.ndarray, known: list[tuple], parts: list[tuple[int, int, int, int]]) -> list[tuple]:
        """Squares of people not in `known`, looked for in `parts` (xyxy) of the picture."""
        fresh: list[tuple] = []
        for x0, y0, x1, y1 in parts:
            for found in self._detector.detections(_shrunk(picture[y0:y1, x0:x1], 224)):
                points = [(x0 + k.x * (x1 - x0), y0 + k.y * (y1 - y0)) for k in found.location_data.relative_keypoints[:2]]
                square = _square(*points)
                new = not any(_near(square, k) for k in known + fresh) and _inside(square, picture.shape)
                if new and len(known) + len(fresh) < _MOST:
                    fresh.append(square)
        return fresh

    def _landmarks(self, picture: np.ndarray, square: tuple, thread: int, *, mirrored: bool = True) -> tuple[Body, tuple]:
        to_frame = _to_frame(square)
        inverse = cv2.invertAffineTransform(to_frame)
        at_centres = inverse.copy()  # cv2 counts pixel centres from 0, we from 0.5
        at_centres[:, 2] += inverse[:, :2] @ (0.5, 0.5) - 0.5
        shrink = square[2] / _SIDE
        source = picture
        if shrink > 2:  # one step of area averaging against aliasing
            factor = 1 / int(shrink)
            source = cv2.resize(picture, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
            scale = np.array([picture.shape[1] / source.shape[1], picture.shape[0] / source.shape[0]])
            at_centres = inverse.copy()
            at_centres[:, :2] *= scale
            at_centres[:, 2] += at_centres[:, :2] @ (0.5, 0.5) - 0.5
        crop = _cut(source, at_centres, mirrored=mirrored and abs(square[3]) < _UPRIGHT)
        got = self._marks(crop)
        getter = self._marks._mp.packet_getter
        marks = getter.get_proto(got["marks"]).landmark
        values = np.array([(m.x, m.y, m.z, m.visibility, m.presence) for m in marks[:35]], np.float32)
        world = np.array([(m.x, m.y, m.z) for m in getter.get_proto(got["world"]).landmark[:33]], np.float32)
        presence = float(np.ravel(getter.get_float(got["presence"]))[0])
        mask = _coverage(getter.get_image(got["mask"]))
        points = values[:, :2] * _SIDE @ to_frame[:, :2].T + to_frame[:, 2]
        turn = np.array([[cos(square[3]), -sin(square[3])], [sin(square[3]), cos(square[3])]], np.float32)
        world[:, :2] = world[:, :2] @ turn.T
        body = Body(
            keypoints=np.concatenate([points[:33], (values[:33, 3] * values[:33, 4])[:, None]], 1).astype(np.float32),
            depth=(values[:33, 2] * square[2]).astype(np.float32),
            world=world,
            score=presence,
            mask=mask,
            to_frame=to_frame.astype(np.float32),
            thread=thread,
        )
        return body, _square(points[33], points[34])


def _cut(picture: np.ndarray, matrix: np.ndarray, *, mirrored: bool) -> np.ndarray:
    """[_SIDE, _SIDE, 3] the square that `matrix` [2, 3] takes pixel centres of `picture` to: black outside, but just above the
    picture its mirror image where it is `mirrored`. Before black the model pushes a body whose head is cut off down into the
    picture, in profile by a quarter of its torso; but what is seen lying or upside down in a mirror image is nobody."""
    corners = cv2.invertAffineTransform(matrix) @ np.array([[0, _SIDE, 0, _SIDE], [0, 0, _SIDE, _SIDE], [1, 1, 1, 1]])
    rows = int(_MIRRORED * len(picture))
    if mirrored and corners[1].min() < 0 < rows:
        picture = cv2.copyMakeBorder(picture, rows, 0, 0, 0, cv2.BORDER_REFLECT_101)
        matrix = np.column_stack([matrix[:, :2], matrix[:, 2] - matrix[:, 1] * rows])
    return cv2.warpAffine(picture, matrix, (_SIDE, _SIDE), flags=cv2.INTER_LINEAR)


def _parts(shape: tuple[int, ...], *, everywhere: bool, long: bool) -> list[tuple[int, int, int, int]]:
    """(x0, y0, x1, y1) of what is looked through for people: the whole picture, and as the detector sees little but the foremost,
    squares of it where it is `long`; or, `everywhere`, nine parts that overlap."""
    height, width = shape[:2]
    parts = [(0, 0, width, height)]
    short, most = min(height, width), max(height, width)
    if everywhere:
        wide, high = (min(round(_PART * most), side) for side in (width, height))
        places = ((x, y) for y in np.linspace(0, height - high, 3) for x in np.linspace(0, width - wide, 3))
        parts += list(dict.fromkeys((int(x), int(y), int(x) + wide, int(y) + high) for x, y in places))
    elif long and most > 1.3 * short:
        for start in np.linspace(0, most - short, 3).astype(int):
            parts.append((start, 0, start + short, short) if width > height else (0, start, short, start + short))
    return parts


def _coverage(image: object) -> np.ndarray:
    """[h, w] uint8 0-255 from an image packet of floats 0-1."""
    return cv2.convertScaleAbs(np.squeeze(image.numpy_view()), alpha=255)


class MediaPipeSegmenter:
    """Selfie segmentation, general model. Implements `PersonSegmenter`."""

    def __init__(self) -> None:
        self._model = _Graph(_SEGMENTER_GRAPH, _SIDE)

    def segment(self, picture: np.ndarray) -> np.ndarray:
        """See `PersonSegmenter.segment`."""
        got = self._model(shrink(picture, (_SIDE, _SIDE)))
        return _coverage(self._model._mp.packet_getter.get_image(got["mask"]))


class MediaPipeFaces:
    """BlazeFace, short range: faces seen from the front up to nearly in profile. Implements `FaceFinder`."""

    def __init__(self) -> None:
        self._detector = _Graph(_FACE_GRAPH, 128)

    def find(self, picture: np.ndarray) -> np.ndarray:
        """See `FaceFinder.find`."""
        height, width = picture.shape[:2]
        rows = []
        for found in self._detector.detections(_shrunk(picture, 128)):
            box = found.location_data.relative_bounding_box
            corners = (box.xmin * width, box.ymin * height, (box.xmin + box.width) * width, (box.ymin + box.height) * height)
            rows.append((*corners, found.score[0]))
        return np.array(rows, np.float32).reshape(-1, 5)


def mediapipe_estimators() -> Estimators:
    """The default backend: everything from the models in MediaPipe's wheel."""
    return Estimators(pose=MediaPipePose, segmenter=MediaPipeSegmenter, faces=MediaPipeFaces)


def _shrunk(picture: np.ndarray, side: int) -> np.ndarray:
    scale = side / max(picture.shape[:2])
    if scale >= 1:
        return picture
    size = (max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale)))
    return shrink(picture, size[::-1])


def _square(centre: tuple[float, float], rim: tuple[float, float]) -> tuple[float, float, float, float]:
    """(x, y, side, angle) of the square around a body, from its two alignment points (PoseLandmarksToRoi)."""
    dx, dy = float(rim[0] - centre[0]), float(rim[1] - centre[1])
    angle = pi / 2 - atan2(-dy, dx)
    exact = (float(centre[0]), float(centre[1]), 2 * hypot(dx, dy) * _MARGIN, (angle + pi) % (2 * pi) - pi)
    x, y, side, angle = (float(np.float32(v)) for v in exact)  # as the state keeps it, so that a resumed run is the same
    return x, y, side, angle


def _to_frame(square: tuple[float, float, float, float]) -> np.ndarray:
    x, y, side, angle = square
    turn = np.array([[cos(angle), -sin(angle)], [sin(angle), cos(angle)]]) * (side / _SIDE)
    return np.concatenate([turn, (np.array([x, y]) - turn @ (_SIDE / 2, _SIDE / 2))[:, None]], 1)


def _near(a: tuple, b: tuple) -> bool:
    """Whether two squares hold the same body: a phantom on the legs has another size."""
    return hypot(a[0] - b[0], a[1] - b[1]) < 0.2 * max(a[2], b[2]) and 0.6 < a[2] / b[2] < 1.67


def _inside(square: tuple, shape: tuple[int, ...]) -> bool:
    """Whether following a square makes sense: its middle not far outside the picture, its side neither tiny nor huge."""
    x, y, side, _ = square
    height, width = shape[:2]
    reach = 0.5 * side
    return 16 < side < 6 * max(height, width) and -reach < x < width + reach and -reach < y < height + reach


def _same(a: Body, b: Body) -> bool:
    """Whether two bodies are one person found twice."""
    rows = [11, 12, 23, 24, 25, 26]
    torso = np.linalg.norm(a.keypoints[11:13, :2].mean(0) - a.keypoints[23:25, :2].mean(0))
    apart = np.linalg.norm(a.keypoints[rows, :2] - b.keypoints[rows, :2], axis=1).mean()
    return bool(apart < 0.3 * max(torso, 1.0))
