"""Which picture when: a pattern's query answered over the shared features, as a cut list.

Cuts are placed by rhythm.py (exact), windows chosen by casting.py (beam search), in-points laid by inpoints.py; here
the three meet, and when the material is scarce weaving.py takes over and constraints are relaxed.
"""

from __future__ import annotations

import logging
import zlib
from collections.abc import Iterator, Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from pipelines.editing.casting import cast, improve
from pipelines.editing.framing import frame_problem
from pipelines.editing.inpoints import in_points
from pipelines.editing.patterns import SHORTEST_CUT, Query
from pipelines.editing.plan import Edit, Segment, Source
from pipelines.editing.rhythm import Lengths, frames_of, place_cuts
from pipelines.editing.shared import SharedFeatures
from pipelines.editing.weaving import weave
from pipelines.editing.windows import number_shots
from pipelines.errors import BadInput

VERSION = "1"
ENOUGH = 1.25  # times the edit's length: what the shots must hold at the target length

logger = logging.getLogger(__name__)


def solve(
    shared: SharedFeatures,
    query: Query,
    *,
    music: Source,
    clips: Sequence[Source],
    fps: Fraction,
    width: int,
    height: int,
    seed: int = 0,
) -> Edit:
    """The edit that answers ``query``; equal arguments give equal ``to_json()`` bytes.

    Exactly ``round(duration * fps)`` frames; every cut on the grid, no cut shorter than SHORTEST_CUT, no source range
    shown twice, every cut visible. When the material is scarce, cuts become as short as SHORTEST_CUT, then up to 1.5,
    then 2.5 times as long as the style allows; if that does not help either, BadInput says what is there and what to
    do.
    """
    frames = frames_of(shared, fps)
    seconds = frames / float(fps)
    weights = _known_weights(shared, query)
    taste = (seed, zlib.crc32(query.name.encode()))
    if float(_material(shared).sum()) < shared.duration:
        raise _too_little(shared, query)
    for step, lengths in enumerate(allowed_lengths(shared, query)):
        cuts = place_cuts(shared, query.style, lengths, seconds, seed)
        problem = None if cuts is None else frame_problem(shared, weights, cuts, seconds, taste)
        casting = None if problem is None else cast(problem)
        if casting is None and (woven := weave(shared, query.style, lengths, seconds, seed)) is not None:
            cuts = woven[0]
            problem = frame_problem(shared, weights, cuts, seconds, taste)
            casting = improve(problem, woven[1])
        if cuts is None or problem is None or casting is None:
            continue
        if step:
            logger.info("pattern %s: little material; cuts of %.1f to %.1f s", query.name, *_range(seconds, cuts))
        rates = [c.fps[0] / c.fps[1] if c.fps[0] else float(fps) for c in clips]
        begins = in_points(shared, problem, casting.windows, cuts, rates)
        edges = frames[cuts].tolist()
        return Edit(
            pattern=query.name,
            fps=(fps.numerator, fps.denominator),
            n_frames=int(frames[-1]),
            width=width,
            height=height,
            music=music,
            music_start=shared.music_start,
            clips=tuple(clips),
            segments=tuple(
                Segment(a, b, int(shared.window_clip[w]), int(shared.window_shot[w]), round(at, 6))
                for a, b, w, at in zip(edges[:-1], edges[1:], casting.windows, begins, strict=True)
            ),
            seed=seed,
            query=dict(weights),
            confidence=round(shared.confidence * 0.9**step, 6),
        )
    raise _too_little(shared, query)


def _known_weights(shared: SharedFeatures, query: Query) -> dict[str, float]:
    known = {k: w for k, w in query.weights.items() if k in shared.heads or k in ("flow", "balance")}
    missing = sorted(set(query.weights) - set(known))
    if missing:
        logger.warning("pattern %s: weighs %s, which no head offers; left out", query.name, ", ".join(missing))
    total = sum(known.values())
    if not total > 0:
        raise BadInput(
            f"pattern {query.name}", "weighs no head that is there", f"weigh some of {', '.join(sorted(shared.heads))}"
        )
    return {k: w / total for k, w in known.items()}


def allowed_lengths(shared: SharedFeatures, query: Query) -> Iterator[Lengths]:
    """The cut lengths a query asks for, as far as the shots hold them, then the relaxed ones in order."""
    shortest, longest = query.band(shared.pulse)
    run = float(np.bincount(shared.window_run, weights=shared.window_end - shared.window_start).max())
    flash = min(shortest, SHORTEST_CUT)
    for scale, least in ((1.0, shortest), (0.7, flash), (1.5, shortest), (2.5, shortest)):
        most = min(run, longest * max(scale, 1.0))
        holds = _longest_held(shared, most)
        yield Lengths(min(least, max(holds, flash)), most, holds, scale)


def _longest_held(shared: SharedFeatures, longest: float) -> float:
    """The longest cut (s) of which the runs hold enough for the whole edit, side by side."""
    size = shared.window_end - shared.window_start
    run = np.bincount(shared.window_run, weights=size)
    waste = float(np.mean(size)) / 2
    lengths = np.geomspace(min(SHORTEST_CUT, longest), longest, 32)
    held = np.array([np.sum(np.maximum(np.floor(run / (x + waste)), run >= x)) * x for x in lengths])
    enough = np.flatnonzero(held >= ENOUGH * shared.duration)
    return float(lengths[enough[-1] if enough.size else int(np.argmax(held))])


def _range(seconds: NDArray[np.float64], cuts: NDArray[np.intp]) -> tuple[float, float]:
    lengths = np.diff(seconds[cuts])
    return float(lengths.min()), float(lengths.max())


def _material(shared: SharedFeatures) -> NDArray[np.float64]:
    """[n_shots] usable seconds of each shot."""
    shot = number_shots(shared.window_clip, shared.window_shot)
    return np.bincount(shot, weights=shared.window_end - shared.window_start).astype(np.float64)


def _too_little(shared: SharedFeatures, query: Query) -> BadInput:
    held = _material(shared)
    clips = len(set(shared.window_clip.tolist()))
    # No shot follows itself, so the longest can fill about half of an edit.
    fits = int(0.75 * min(float(held.sum()), 2 * float(held.sum() - held.max())))
    return BadInput(
        f"pattern {query.name}",
        f"{held.sum():.1f} s of usable picture in {held.size} shot{'s' * (held.size != 1)} of {clips} "
        f"clip{'s' * (clips != 1)} do not fill {shared.duration:g} s: nothing is shown twice, and neighbouring shots "
        "must look different",
        f"try a --duration of {fits} s or less, or give more clips"
        if 0 < fits < shared.duration
        else "give more clips that look different from each other",
    )
