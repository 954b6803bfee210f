#!/usr/bin/env python
"""How far our agnostic region agrees with peers' masks: intersection over union, and the share of our old garment inside theirs.

    .venv/bin/python tools/region_iou.py MEDIA [--frames 24]

MEDIA holds clips/ and masks/ (`<clip>__agnostic_mask.mp4`). Looks at `--frames` consecutive frames from the middle of each clip.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
import torch

from vidvton.analysis import analyse_clip, load_analysis
from vidvton.crops import placed
from vidvton.media.reader import open_clip
from vidvton.people.agnostic import make_agnostic, old_garment
from vidvton.values import Clip, PersonTrack


def category_of(name: str) -> str:
    return "lower" if "lower" in name else "full" if "dress" in name else "upper"


def compare(clip: Clip, peers: np.ndarray, category: str) -> tuple[float, float]:
    """(IoU of the regions, share of our old garment inside theirs grown by 9 pixels) over a clip and masks [T, H, W] bool."""
    import cv2

    with tempfile.TemporaryDirectory() as name:
        for _ in analyse_clip(lambda start: iter([clip.window(start, len(clip))]), clip.size, Path(name)):
            pass
        analysis = load_analysis(Path(name), clip.size)
        labels = [placed(label, box, clip.size) for label, box in zip(analysis.labels(0, len(clip)), analysis.crops.boxes)]
    person = PersonTrack(analysis.track, torch.from_numpy(np.stack(labels)))
    region = make_agnostic(clip, person, category).region[:, 0].numpy()
    old = old_garment(person.labels, person.pose, category).numpy()
    wide = np.stack([cv2.dilate(m.astype(np.uint8), np.ones((19, 19), np.uint8)) > 0 for m in peers])
    return float((region & peers).sum() / max((region | peers).sum(), 1)), float((old & wide).sum() / max(old.sum(), 1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("media", type=Path)
    parser.add_argument("--frames", type=int, default=24)
    args = parser.parse_args()
    print("| clip | region IoU | our old garment inside theirs |\n|---|---|---|")
    for mask in sorted((args.media / "masks").glob("*__agnostic_mask.mp4")):
        name = mask.name.split("__")[0]
        reader, peers = open_clip(args.media / "clips" / f"{name}.mp4"), open_clip(mask)
        start = max(0, (reader.info.frames - args.frames) // 2)
        clip = next(iter(reader.clips(args.frames, start=start)))
        theirs = next(iter(peers.clips(args.frames, start=start))).frames.float().mean(1).numpy() > 127
        print("| {} | {:.2f} | {:.3f} |".format(name, *compare(clip, theirs, category_of(name))), flush=True)


if __name__ == "__main__":
    main()
