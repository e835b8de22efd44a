"""Frames of any size, shape, rotation and colour matrix into one picture: even-sized, yuv420p, BT.709, limited range.

A frame of nearly the picture's shape fills it and loses its edges; one of another shape (upright, square) is shown
whole over a blurred, darkened copy of itself, so that no black bars appear. Encoding is left to encoding.py.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import av

MOST_CROPPED = Fraction(
    3, 10
)  # share of a frame that may be cut off to fill: 4:3 in 16:9 (1/4) is, a square (7/16) not
BLUR = 16  # the surround is made at this fraction of the size
UNTAGGED_HD = (1280, 577)  # from this width or height on, untagged colours are BT.709; below, BT.601 (as players guess)
BT709, UNSPECIFIED, BT470BG, SMPTE170M, SMPTE240M = 1, 2, 5, 6, 7
FULL_RANGE = 2


class Fitter:
    """Fits frames of one clip; a filter graph is built for the first frame and whenever the frames' form changes."""

    def __init__(self, width: int, height: int, aspect: Fraction | None = None) -> None:
        """``aspect`` of the clip's pixels (None: square)."""
        self.width = width - width % 2
        self.height = height - height % 2
        self._pixel = aspect if aspect and Fraction(1, 8) <= aspect <= 8 else Fraction(1)
        self._form: tuple[object, ...] = ()
        self._graph: Any = None
        self._last: tuple[av.VideoFrame, av.VideoFrame] | None = None

    def fit(self, frame: av.VideoFrame) -> av.VideoFrame:
        """The fitted frame; the very same object again while the same frame is held."""
        if self._last is not None and self._last[0] is frame:
            return self._last[1]
        form = (frame.width, frame.height, frame.format.name, frame.rotation, frame.colorspace, frame.color_range)
        if form != self._form:
            self._form, self._graph = form, self._build(frame)
        self._graph.push(frame)
        fitted: av.VideoFrame = self._graph.pull()
        self._last = (frame, fitted)
        return fitted

    def _build(self, frame: av.VideoFrame) -> Any:
        import av.filter

        graph = av.filter.Graph()
        graph.threads = 1
        base = frame.time_base or Fraction(1, 1000)
        node: Any = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=base)

        def chain(node: Any, *filters: tuple[str, str]) -> Any:
            for name, arguments in filters:
                following = graph.add(name, arguments)
                node.link_to(following)
                node = following
            return node

        turned = round(-frame.rotation / 90) % 4
        shape = Fraction(frame.width, frame.height) * self._pixel
        width, height = frame.width, frame.height
        if turned % 2:
            shape, width, height = 1 / shape, height, width
        node = chain(node, *_colours(frame), *_turn(turned))
        wanted = Fraction(self.width, self.height)
        kept = min(shape / wanted, wanted / shape)
        if kept >= 1 - MOST_CROPPED:
            if shape != wanted:
                node = chain(node, ("crop", _crop(width, height, shape, wanted)))
            node = chain(node, ("scale", f"{self.width}:{self.height}:flags=bicubic"), ("setsar", "1"))
        else:
            split = chain(node, ("split", "2"))
            small = (max(2, self.width // BLUR // 2 * 2), max(2, self.height // BLUR // 2 * 2))
            surround = graph.add("crop", _crop(width, height, shape, wanted))
            split.link_to(surround, 0)
            surround = chain(
                surround,
                ("scale", f"{small[0]}:{small[1]}:flags=area"),
                ("gblur", "sigma=2"),
                ("lutyuv", "y=16+(val-16)*0.5"),
                ("scale", f"{self.width}:{self.height}:flags=bicubic"),
                ("setsar", "1"),
            )
            inner = (self.width, self.width / shape) if shape > wanted else (self.height * shape, self.height)
            whole = graph.add("scale", f"{_even(inner[0])}:{_even(inner[1])}:flags=bicubic")
            split.link_to(whole, 1)
            whole = chain(whole, ("setsar", "1"))
            node = graph.add("overlay", "(W-w)/2:(H-h)/2:format=yuv420")
            surround.link_to(node, 0, 0)
            whole.link_to(node, 0, 1)
        node = chain(node, ("format", "yuv420p"), ("buffersink", ""))
        graph.configure()
        return graph


def _crop(width: int, height: int, shape: Fraction, wanted: Fraction) -> str:
    """The middle of a frame that has the wanted shape."""
    if shape > wanted:
        width = _even(width * wanted / shape, most=width)
    else:
        height = _even(height * shape / wanted, most=height)
    return f"{width}:{height}"


def _even(length: Fraction | int, most: int | None = None) -> int:
    even = max(2, round(length / 2) * 2)
    return even if most is None else min(even, most)


def _turn(quarters: int) -> list[tuple[str, str]]:
    return [[], [("transpose", "clock")], [("hflip", ""), ("vflip", "")], [("transpose", "cclock")]][quarters]


def _colours(frame: av.VideoFrame) -> list[tuple[str, str]]:
    """To limited-range BT.709, where the frame is in something else."""
    matrix, rgb = int(frame.colorspace), frame.format.is_rgb
    if matrix in (0, UNSPECIFIED):
        large = frame.width >= UNTAGGED_HD[0] or frame.height >= UNTAGGED_HD[1]
        matrix = BT709 if large else SMPTE170M
    names = {BT709: "bt709", BT470BG: "bt470bg", SMPTE170M: "smpte170m", SMPTE240M: "smpte240m"}
    source = names.get(matrix, "auto")
    full = int(frame.color_range) == FULL_RANGE or frame.format.name.startswith("yuvj")
    if rgb or frame.format.name.startswith("gray"):
        return [("scale", "out_color_matrix=bt709:out_range=tv"), ("format", "yuv420p")]
    if source == "bt709" and not full:
        return []
    ranges = "in_range=full:out_range=tv" if full else "in_range=tv:out_range=tv"
    return [("scale", f"in_color_matrix={source}:out_color_matrix=bt709:{ranges}"), ("format", "yuv420p")]
