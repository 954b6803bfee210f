"""What a file says of itself: sizes, times, colours; and the limits a file must keep to be read at all."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from vidvton.errors import MisuseError

# ITU-T H.273 code points, the numbers FFmpeg and every container use.
GBR, BT709, UNSPECIFIED, BT2020 = 0, 1, 2, 9
PQ, HLG = 16, 18
LIMITED, FULL = 1, 2


@dataclass(frozen=True)
class Colours:
    """Colour tags as ITU-T H.273 numbers (2 = unspecified); `range` 0 unspecified, 1 limited, 2 full."""

    primaries: int = UNSPECIFIED
    transfer: int = UNSPECIFIED
    matrix: int = UNSPECIFIED
    range: int = 0


@dataclass(frozen=True)
class Limits:
    """The most that is read: `max_pixels` in one frame and `max_seconds` of clip (and 240 frames for each of those seconds)."""

    max_pixels: int = 64_000_000
    max_seconds: float = 1800.0

    @property
    def max_frames(self) -> int:
        """The most frames a clip may have."""
        return max(1, int(self.max_seconds * 240))

    def check_size(self, path: Path, width: int, height: int) -> None:
        """MisuseError where a frame has too many pixels."""
        if width * height > self.max_pixels:
            raise MisuseError(
                f"{path} has frames of {width}x{height} = {width * height / 1e6:.0f} megapixels, "
                f"more than the {self.max_pixels / 1e6:g} allowed; raise the limit with --max-pixels"
            )

    def check_length(self, path: Path, seconds: float) -> None:
        """MisuseError where a clip is too long."""
        if seconds > self.max_seconds:
            raise MisuseError(
                f"{path} is {seconds:.0f} s long, more than the {self.max_seconds:g} s allowed; "
                "raise the limit with --max-seconds"
            )

    def check_count(self, path: Path, frames: int) -> None:
        """MisuseError where a clip has too many frames."""
        if frames > self.max_frames:
            raise MisuseError(
                f"{path} has more than {self.max_frames} frames, the most allowed for {self.max_seconds:g} s; "
                "raise the limit with --max-seconds"
            )


DEFAULT_LIMITS = Limits()


@dataclass(frozen=True)
class ClipInfo:
    """What is known of a clip before reading it through.

    `width` and `height` are those of the upright picture in pixels, `sample_aspect_ratio` the width of one such pixel over its
    height; `rotation` is how far (0, 90, 180, 270 degrees counter-clockwise) stored frames are turned to stand upright, and
    `mirrored` says they are flipped left to right after that. A frame's time is `pts * time_base` seconds; `rate` is the
    average in frames a second; `start` is the first frame's time and `duration` the length from there, both in seconds
    (`duration` is None where the file does not say). `frames` is what the header claims or implies: an estimate, never to be
    trusted for a loop.
    """

    path: Path
    kind: str  # video | image | folder
    width: int
    height: int
    time_base: Fraction
    rate: Fraction
    frames: int
    codec: str
    pixel_format: str
    sample_aspect_ratio: Fraction = Fraction(1)
    rotation: int = 0
    mirrored: bool = False
    start: Fraction = Fraction(0)
    duration: Fraction | None = None
    bit_depth: int = 8
    colours: Colours = Colours()
    has_audio: bool = False
    has_alpha: bool = False

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)."""
        return self.height, self.width

    @property
    def is_hdr(self) -> bool:
        """True for PQ and HLG transfer curves."""
        return self.colours.transfer in (PQ, HLG)

    @property
    def picture_colours(self) -> Colours:
        """The tags that belong on 8-bit pictures made from this clip's RGB: its own, except that HDR was mapped to BT.709 and
        that sources without a luma-chroma matrix FFmpeg converts (RGB, YCgCo, ...) become BT.709."""
        if self.is_hdr:
            return Colours(BT709, BT709, BT709, LIMITED)
        if self.colours.matrix in (1, UNSPECIFIED, 4, 5, 6, 7, BT2020):
            return self.colours
        primaries = self.colours.primaries if self.colours.primaries != UNSPECIFIED else BT709
        transfer = self.colours.transfer if self.colours.transfer != UNSPECIFIED else BT709
        return Colours(primaries, transfer, BT709, LIMITED)
