"""How fast the studio is, and how real its clips look to programs that know nothing of it.

.venv/bin/python tools/bench_studio.py speed [--size 256x192] [--frames 64] [--workers 2] [--clips 4]
.venv/bin/python tools/bench_studio.py realism [--clips 24] [--frames 24] [--size 512x384] [--seed 7] [--only 0,3]
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import statistics
import time

os.environ.setdefault("GLOG_minloglevel", "2")

import numpy as np
import torch

from vidvton.frames import as_arrays
from vidvton.synth.clip import SynthClip, make_clip
from vidvton.synth.scene import write_script
from vidvton.synth.skeleton import KEYPOINTS
from vidvton.synth.truth import FLOW_STEP

JOINTS = [
    KEYPOINTS.index(f"{side}_{name}")
    for name in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
    for side in ("left", "right")
]


def _clip(job: tuple[int, int, int, tuple[int, int]]) -> tuple[int, float, float]:
    torch.set_num_threads(1)
    seed, index, frames, size = job
    cpu = time.process_time()
    make_clip(write_script(seed, index, frames=frames, size=size))
    return frames, time.process_time() - cpu, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def speed(size: tuple[int, int], frames: int, workers: int, clips: int, seed: int) -> None:
    """Frames per second of whole clips with all truth, made by `workers` processes of one thread each."""
    start = time.perf_counter()
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        pool.map(_start, range(workers))
        warm = time.perf_counter()
        done = pool.map(_clip, [(seed, i, frames, size) for i in range(clips)], chunksize=1)
    wall = time.perf_counter() - warm
    made, cpu = sum(d[0] for d in done), sum(d[1] for d in done)
    print(f"{size[0]}x{size[1]}: {made} frames in {wall:.1f} s on {workers} processes = {made / wall:.1f} frames/s of wall clock")
    print(f"  processor time {1000 * cpu / made:.0f} ms a frame, so {workers * made / cpu:.1f} frames/s on {workers} free cores")
    print(f"  peak memory of one process {max(d[2] for d in done):.2f} GiB; starting the processes took {warm - start:.1f} s")


def _start(_: int) -> None:
    torch.set_num_threads(1)
    time.sleep(0.2)


def watch(clip: SynthClip, pose, dis) -> dict[str, list[float]]:
    """What MediaPipe Pose and DIS flow say of one clip, against the truth."""
    truth, rows = clip.truth, as_arrays(clip.frames)
    height, width = clip.script.size
    out: dict[str, list[float]] = {k: [] for k in ("found", "found_any", "near", "iou", "epe", "epe_person")}
    torso = (truth.keypoints[:, [11, 12], :2].mean(1) - truth.keypoints[:, [23, 24], :2].mean(1)).norm(dim=-1)
    length = max(float(torso.median()), 1.0)
    for t, frame in enumerate(rows):
        seen = truth.keypoints[t, :, 2] > 0
        head = bool((truth.labels[t] == 13).sum() > 30) and 0 <= truth.keypoints[t, 0, 1] < height
        result = pose.process(np.ascontiguousarray(frame))
        found = result.pose_landmarks is not None
        if found:
            points = np.array([(p.x * width, p.y * height) for p in result.pose_landmarks.landmark])
            away = np.linalg.norm(points - truth.keypoints[t, :, :2].numpy(), axis=1)
            found = float(np.median(away)) < length  # a phantom on a wall does not count
        out["found_any"].append(float(found))
        if head:
            out["found"].append(float(found))
        if found and head:
            out["near"] += [float(away[j] < 0.10 * length) for j in JOINTS if seen[j]]
            mask, ours = result.segmentation_mask > 0.5, truth.person[t].numpy()
            out["iou"].append(float((mask & ours).sum() / max((mask | ours).sum(), 1)))
        if t + 1 < len(rows):
            a, b = (frame.mean(-1).astype(np.uint8), rows[t + 1].mean(-1).astype(np.uint8))
            error = np.linalg.norm(dis.calc(a, b, None) - truth.flow_forward[t].numpy() * FLOW_STEP, axis=-1)
            ok = ~truth.hidden_forward[t].numpy()
            out["epe"].append(float(error[ok].mean()))
            if (ok & truth.person[t].numpy()).any():
                out["epe_person"].append(float(error[ok & truth.person[t].numpy()].mean()))
    return out


def realism(size: tuple[int, int], frames: int, clips: list[int], seed: int) -> None:
    """Prints the figures per clip and over all frames."""
    import cv2
    import mediapipe as mp

    total: dict[str, list[float]] = {}
    dis = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    for index in clips:
        script = write_script(seed, index, frames=frames, size=size)
        with mp.solutions.pose.Pose(model_complexity=1, enable_segmentation=True) as pose:
            row = watch(make_clip(script), pose, dis)
        for name, values in row.items():
            total.setdefault(name, []).extend(values)
        words = (
            f"{script.motion}, {script.camera.framing}, {script.backdrop.place}, {script.target.kind}, {script.look.hair_style}"
        )
        print(f"clip {index:3d}  " + "  ".join(f"{k} {_mean(v):.2f}" for k, v in row.items()) + f"  {words}", flush=True)
    print("all       " + "  ".join(f"{k} {_mean(v):.3f}" for k, v in total.items()))


def _mean(values: list[float]) -> float:
    return statistics.fmean(values) if values else float("nan")


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("speed", "realism"))
    parser.add_argument("--size", default=None)
    parser.add_argument("--frames", type=int, default=None)
    parser.add_argument("--clips", type=int, default=None)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--only", default=None, help="clip numbers, comma separated")
    a = parser.parse_args()
    size = tuple(int(n) for n in (a.size or ("256x192" if a.what == "speed" else "512x384")).split("x"))
    if a.what == "speed":
        speed(size, a.frames or 64, a.workers, a.clips or 2 * a.workers, a.seed)
    else:
        torch.set_num_threads(1)
        clips = [int(n) for n in a.only.split(",")] if a.only else list(range(a.clips or 24))
        realism(size, a.frames or 24, clips, a.seed)


if __name__ == "__main__":
    main()
