#!/usr/bin/env python
"""Renders clips x garments, audits every result with an independent program, and writes the table of docs/quality.md.

    .venv/bin/python tools/quality.py MEDIA AUDIT --out DIR [--table docs/quality_table.md] [--only WORD]

MEDIA holds clips/, garments/ and masks/ (peers' `<clip>__agnostic_mask.mp4`); AUDIT is the audit program. Finished cases in DIR
are kept, so a stopped run goes on. Each case is one `vidvton render` in a process of its own.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

UPPER = ("vivid_upper_00057_lee_tee.jpg", "mt_upper_01689_floral.jpg", "fc_case3_cloth.png")
LOWER = ("vivid_lower_051985_pants.jpg", "mt_lower_013726_striped_side.jpg", "cc0_skirt_mustard.jpg")
FULL = ("realvvt_dress_1222781_floral.jpg", "tdv_dress_744288310346_beige.png", "cc0_dress_houndstooth.jpg")
CASES = {
    "vivid_lower_1221158.mp4": LOWER,
    "vivid_lower1_short.mp4": LOWER,
    "vivid_upper_1219222.mp4": UPPER,
    "vivid_upper_543002.mp4": UPPER,
    "hrvvt_dress_model_1.mp4": FULL,
    "fc_case3_tee_turn.mp4": UPPER,
    "derived_rot90_vfr_fc_case3.mp4": UPPER,
    "sam2_dog_woman_720p.mp4": ("cc0_upper_wolf_tee.jpg", "cc0_upper_plaid_denim_shirt.jpg", "vivid_upper_00057_lee_tee.jpg"),
    "asl_please_man.mkv": ("cc0_upper_striped_sweater.jpg", "vivid_upper_00057_lee_tee.jpg", "fashn_onmodel_black_tee.webp"),
    "tfjs_squats_5fps.mp4": ("cc0_upper_wolf_tee.jpg", "mt_upper_01689_floral.jpg", "vivid_upper_00057_lee_tee.jpg"),
    "p2s_two_people_60fps.mp4": ("vivid_upper_00057_lee_tee.jpg", "mt_upper_01689_floral.jpg", "fc_case3_cloth.png"),
}
FACTS = (
    "timeline_equal", "audio_equal", "kept_psnr_db", "changed_outside", "replaced_share", "warp_error_ratio", "flicker_hf_ratio",
    "garment_delta_e", "garment_matches",
)  # fmt: skip


def render_case(media: Path, audit: str, out: Path, clip: str, garment: str) -> dict:
    """One render and its audit; what went wrong is a field, not an exception."""
    name = f"{Path(clip).stem}__{Path(garment).stem}"
    stored = out / f"{name}.json"
    if stored.exists():
        return json.loads(stored.read_text())
    result, report = out / f"{name}{Path(clip).suffix}", out / f"{name}.report.json"
    source, picture = media / "clips" / clip, media / "garments" / garment
    start = time.monotonic()
    command = [sys.executable, "-m", "vidvton", "render", str(source), "--garment", str(picture), "-o", str(result)]
    ran = subprocess.run([*command, "--report", str(report), "--overwrite", "--quiet"], capture_output=True, text=True)
    case = {"clip": clip, "garment": garment, "seconds": round(time.monotonic() - start, 1), "rc": ran.returncode}
    if ran.returncode:
        return case | {"error": ran.stderr.strip().splitlines()[-1:]}
    checked = subprocess.run(
        [sys.executable, audit, str(source), str(result), "--garment", str(picture)], capture_output=True, text=True
    )
    case |= json.loads(checked.stdout)
    case["changed_outside"], case["replaced_share"] = shares_of(media, clip, source, result)
    stored.write_text(json.dumps(case, indent=1))
    return case


def shares_of(media: Path, clip: str, source: Path, result: Path) -> tuple[float | None, float | None]:
    """The audit's changed_outside and replaced_share by peers' masks, without its flow: changed pixels (over 24 levels, median
    5) outside their agnostic mask grown by 9 pixels; pixels of the old garment (their mask on the torso, upper arms or legs
    that DensePose drew, eroded by 5) that changed by over 12 levels. None where peers drew no mask."""
    import av
    import cv2

    stem = Path(clip).stem
    mask, body = (media / "masks" / f"{stem}__{kind}.mp4" for kind in ("agnostic_mask", "densepose"))
    if not mask.exists():
        return None, None
    viridis = cv2.applyColorMap((np.arange(25) * 255 // 24).astype(np.uint8), cv2.COLORMAP_VIRIDIS)[:, 0, ::-1].astype(np.int32)
    worn = [1, 2, *range(7, 15)] if "lower" in clip else [1, 2]
    outside = changed_all = replaced = old_all = 0
    boxes = [av.open(str(p)) for p in (source, result, mask, body) if p.exists()]
    for before, after, region, *drawn in zip(*(b.decode(video=0) for b in boxes)):
        a, b = (f.to_ndarray(format="rgb24").astype(np.int16) for f in (before, after))
        change = np.abs(a - b).max(-1)
        region = region.to_ndarray(format="gray") > 127
        changed = cv2.medianBlur((change > 24).astype(np.uint8), 5) > 0
        wide = cv2.dilate(region.astype(np.uint8), np.ones((19, 19), np.uint8)) > 0
        outside, changed_all = outside + int((changed & ~wide).sum()), changed_all + int(changed.sum())
        if drawn:
            part = drawn[0].to_ndarray(format="rgb24").astype(np.int32)
            label = np.abs(part[::2, ::2, None] - viridis).sum(-1).argmin(-1).astype(np.uint8)
            label = cv2.resize(label, region.shape[::-1], interpolation=cv2.INTER_NEAREST)
            old = cv2.erode((np.isin(label, worn) & region).astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
            replaced, old_all = replaced + int((old & (change > 12)).sum()), old_all + int(old.sum())
    return outside / max(changed_all, 1), replaced / old_all if old_all else None


def shown(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "**no**"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("media", type=Path)
    parser.add_argument("audit")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--table", type=Path)
    parser.add_argument("--only", default="")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    rows = ["| clip | garment | " + " | ".join(FACTS) + " |", "|---|---|" + "---|" * len(FACTS)]
    for clip, garments in CASES.items():
        for garment in garments:
            if args.only not in clip:
                continue
            case = render_case(args.media, args.audit, args.out, clip, garment)
            rows.append(f"| {Path(clip).stem} | {Path(garment).stem} | " + " | ".join(shown(case.get(f)) for f in FACTS) + " |")
            print(rows[-1], case.get("error", ""), flush=True)
    if args.table:
        args.table.write_text("\n".join(rows) + "\n")


if __name__ == "__main__":
    main()
