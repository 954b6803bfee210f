"""The table of metrics: what each is called, measured in, needs and means, and where it comes from."""

from __future__ import annotations

from dataclasses import dataclass

HIGHER, LOWER, NEARER_SOURCE = "higher", "lower", "nearer-source"
FRAME, REGION, BACKGROUND = "frame", "region", "background"
EVERYWHERE = (FRAME, REGION, BACKGROUND)


@dataclass(frozen=True)
class Metric:
    """One metric.

    `better`: "higher", "lower", or "nearer-source" (both less and more than the source's own value are worse: a frozen clip must
    not win). `per`: "frame", "pair" (its entry is the later frame's), "clip" (one entry) or "set" (`Features`, compared between
    sets of clips). `needs`: of "source", "truth", "garment", "region", "flow", "windows", "weights". `where`: the places it is
    reported for; region and background are left out where a clip has no region.
    """

    name: str
    title: str
    unit: str
    better: str
    per: str
    needs: tuple[str, ...]
    where: tuple[str, ...]
    citation: str
    meaning: str
    kind: str = "mean"
    """How sums and counts become a score: "mean" of sum / count, or "psnr", whose entries are squared errors."""


LAI = "Lai et al., Learning Blind Video Temporal Consistency, ECCV 2018, eq. 8; occlusions after Ruder et al. 2016, eq. 5-6"
TECOGAN = "Chu et al., Learning Temporal Coherence via Self-Supervision (TecoGAN), TOG 2020, section 5"
VBENCH = "Huang et al., VBench, CVPR 2024"
LPIPS = "Zhang et al., The Unreasonable Effectiveness of Deep Features, CVPR 2018, eq. 1"
VFID = "Dong et al., FW-GAN, ICCV 2019, with the networks of the public VVT scripts"
HEUSEL = "Heusel et al., GANs Trained by a Two Time-Scale Update Rule, NeurIPS 2017"

_TEMPORAL = (
    Metric("warping-error", "Warping error", "squared, 0-1", LOWER, "pair", ("source",), EVERYWHERE, LAI,
           "what is left after the next frame is moved back along the source's DIS flow, where nothing is hidden"),
    Metric("warping-error-exact", "Warping error, exact flow", "squared, 0-1", LOWER, "pair", ("source", "flow"), EVERYWHERE, LAI,
           "the same with the flow that the studio knows exactly"),
    Metric("tof", "tOF", "px", LOWER, "pair", ("truth",), EVERYWHERE, TECOGAN,
           "how far the output's Farneback flow is from the truth's"),
    Metric("tof-source", "tOF to source", "px", LOWER, "pair", ("source",), EVERYWHERE, TECOGAN,
           "how far the output's Farneback flow is from the source's, where there is no truth"),
    Metric("temporal-flickering", "Temporal flickering", "0-1", NEARER_SOURCE, "pair", (), EVERYWHERE, VBENCH,
           "one minus the mean difference of neighbouring frames; a frozen clip reaches 1"),
    Metric("second-difference", "Second-difference energy", "squared, 0-1", NEARER_SOURCE, "frame", (), EVERYWHERE, "ours",
           "mean square of next - 2 x this + last frame: what does not move evenly"),
    Metric("garment-flicker", "Garment-locked flicker", "squared, 0-1", LOWER, "frame", ("source", "region"), (REGION,), "ours",
           "variance of the colour at one place of the garment over 16 frames"),
    Metric("seam", "Seam score", "ratio", LOWER, "pair", ("source", "windows"), EVERYWHERE, "ours",
           "warping error across window boundaries over its median elsewhere; 1 is invisible"),
    Metric("drift-colour", "Colour drift", "Delta E 2000", NEARER_SOURCE, "clip", ("region",), (REGION,), "ours",
           "how far the region's mean colour in the last window is from the first"),
    Metric("drift-sharpness", "Sharpness drift", "octaves", NEARER_SOURCE, "clip", ("region",), (REGION,), "ours",
           "gradient energy of the region in the last window over the first, log 2"),
)  # fmt: skip
_PICTURE = (
    Metric("identity", "Identity kept", "levels", LOWER, "frame", ("source", "region"), (BACKGROUND,), "ours",
           "mean absolute difference from the source outside the region, of 255"),
    Metric("leak", "Leak of the old garment", "cosine", LOWER, "frame", ("source", "region"), (REGION,), "ours",
           "agreement of the edges with the source's inside the region; 1 is the old garment, 0 nothing of it"),
    Metric("leak-pixels", "Leaked pixels", "share", LOWER, "frame", ("source", "region"), (REGION,), "ours",
           "share of the region's pixels within 8 of 255 levels of the source"),
    Metric("garment-colour", "Garment colour", "Delta E 2000", LOWER, "frame", ("garment", "region"), (REGION,),
           "Sharma, Wu and Dalal, The CIEDE2000 Color-Difference Formula, Color Res. Appl. 2005",
           "how far the garment picture's main colours are from those found in the region (2:1, as for textiles)"),
    Metric("garment-print", "Garment print", "share", HIGHER, "frame", ("garment", "region"), (REGION,),
           "Lowe, Distinctive Image Features from Scale-Invariant Keypoints, IJCV 2004, section 7.1",
           "share of the garment picture's SIFT features found again in the region, ratio test and mutual"),
    Metric("ssim", "SSIM", "", HIGHER, "frame", ("truth",), EVERYWHERE,
           "Wang et al., Image Quality Assessment, TIP 2004", "structural similarity to the truth, Gaussian window of 1.5 px"),
    Metric("psnr", "PSNR", "dB", HIGHER, "frame", ("truth",), EVERYWHERE, "peak signal to noise of 8-bit pictures",
           "signal to noise against the truth", kind="psnr"),
    Metric("gradient-similarity", "Gradient similarity", "", HIGHER, "frame", ("truth",), EVERYWHERE,
           "Xue et al., Gradient Magnitude Similarity Deviation, TIP 2014, eq. 4 (its mean, GMSM)",
           "agreement of edge strength with the truth"),
)  # fmt: skip
_LEARNED = (
    Metric("lpips-alex", "LPIPS (AlexNet)", "", LOWER, "frame", ("truth", "weights"), EVERYWHERE, LPIPS,
           "perceptual distance from the truth"),
    Metric("lpips-vgg", "LPIPS (VGG-16)", "", LOWER, "frame", ("truth", "weights"), EVERYWHERE, LPIPS,
           "perceptual distance from the truth"),
    Metric("lpips-squeeze", "LPIPS (SqueezeNet 1.1)", "", LOWER, "frame", ("truth", "weights"), EVERYWHERE, LPIPS,
           "perceptual distance from the truth"),
    Metric("tlp", "tLP", "x100", LOWER, "pair", ("truth", "weights"), (FRAME,), TECOGAN,
           "how much the perceptual step between frames differs from the truth's, AlexNet"),
    Metric("clip-f", "CLIP-F", "cosine", NEARER_SOURCE, "pair", ("weights",), (FRAME,),
           "Esser et al., Structure and Content-Guided Video Synthesis, ICCV 2023 (frame consistency)",
           "likeness of neighbouring frames to CLIP; a still clip reaches 1"),
    Metric("dino-consistency", "DINO consistency", "cosine", NEARER_SOURCE, "pair", ("weights",), (FRAME,),
           VBENCH + " (subject consistency)", "likeness to the first and the last frame before, to DINO ViT-B/16"),
    Metric("vfid10-i3d", "Legacy VFID-10 (I3D)", "", LOWER, "set", ("weights",), (FRAME,), VFID,
           "as everyone runs it: first ten frames only, BGR read as RGB, 224x224 squash"),
    Metric("vfid10-resnext", "Legacy VFID-10 (ResNeXt)", "", LOWER, "set", ("weights",), (FRAME,), VFID,
           "as everyone runs it: first ten frames only, BGR read as RGB, 224x224 squash"),
    Metric("vfid-i3d", "Whole-clip VFID (I3D)", "", LOWER, "set", ("weights",), (FRAME,), VFID,
           "every ten frames of the whole clip, RGB"),
    Metric("vfid-resnext", "Whole-clip VFID (ResNeXt)", "", LOWER, "set", ("weights",), (FRAME,), VFID,
           "every ten frames of the whole clip, RGB"),
    Metric("fvd", "FVD", "", LOWER, "set", ("weights",), (FRAME,), "Unterthiner et al., FVD, 2019",
           "every 16 frames of the whole clip at 256x256"),
    Metric("fid", "FID", "", LOWER, "set", ("weights",), (FRAME,), HEUSEL, "Frechet distance of single frames"),
    Metric("kid", "KID x1000", "x1000", LOWER, "set", ("weights",), (FRAME,),
           "Binkowski et al., Demystifying MMD GANs, ICLR 2018", "kernel distance of single frames, unbiased, times 1000"),
)  # fmt: skip

METRICS: tuple[Metric, ...] = _TEMPORAL + _PICTURE + _LEARNED
"""Every metric, in the order of a report."""
WEIGHT_FREE: tuple[str, ...] = tuple(m.name for m in METRICS if "weights" not in m.needs)
"""Names of those that need no file of weights."""
WEIGHTS: dict[str, tuple[str, ...]] = {
    "lpips-alex": ("lpips-alex", "tlp"),
    "lpips-vgg": ("lpips-vgg",),
    "lpips-squeeze": ("lpips-squeeze",),
    "clip": ("clip-f",),
    "dino": ("dino-consistency",),
    "i3d": ("vfid10-i3d", "vfid-i3d"),
    "resnext": ("vfid10-resnext", "vfid-resnext"),
    "fvd": ("fvd",),
    "inception": ("fid", "kid"),
}
"""Files of weights a user can give (keys of `measure`'s `weights`), and the metrics each one serves."""


def find_metric(name: str) -> Metric:
    """The row called `name`; KeyError for a name the table has not got."""
    for metric in METRICS:
        if metric.name == name:
            return metric
    raise KeyError(name)
