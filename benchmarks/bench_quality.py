"""What judging an edit costs beside making it: the quality suite and the report against analysis and rendering.

One real edit of 20 s from the sample library; CPU seconds, all threads.
"""

from __future__ import annotations

import tempfile
from fractions import Fraction
from hashlib import sha256
from pathlib import Path
from typing import Any

from benchmarks.measure import Figure, cpu_seconds, write

MEDIA = Path(__file__).parent.parent / "sample" / "media"
SONG = MEDIA / "vibe_ace.ogg"
CLIPS = tuple(MEDIA / name for name in ("big_buck_bunny_0_30.webm", "big_buck_bunny_5s.mp4", "car-detection.mp4"))
SECONDS = 20.0


def run() -> dict[str, Figure]:
    from pipelines.audio.analysis import analyse as analyse_music
    from pipelines.editing import report
    from pipelines.editing.patterns import patterns
    from pipelines.editing.plan import Source
    from pipelines.editing.quality import measure
    from pipelines.editing.render import render
    from pipelines.editing.shared import share
    from pipelines.editing.solver import solve
    from pipelines.video.analysis import analyse as analyse_clip

    made: dict[str, Any] = {}

    def analysis() -> None:
        made["music"] = analyse_music(SONG)
        made["clips"] = [analyse_clip(path) for path in CLIPS]

    analysing = cpu_seconds(analysis)
    music, clips = made["music"], made["clips"]
    shared = share(music, clips, None, [()] * len(clips), duration=SECONDS, scorers={})
    sources = [
        Source(str(p), _hash(p), f.duration, f.fps_fraction, f.n_frames, f.width, f.height)
        for p, f in zip(CLIPS, clips, strict=True)
    ]
    edit = solve(
        shared, patterns()["hybrid"], music=Source(str(SONG), _hash(SONG), music.duration), clips=sources,
        fps=Fraction(25), width=1280, height=720,
    )  # fmt: skip

    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "hybrid.mp4"
        page = Path(folder) / "report.html"
        rendering = cpu_seconds(lambda: render(edit, out, cache_dir=Path(folder) / "segments"))

        def judge() -> None:
            made["quality"] = measure(edit, out, music=music, clips=clips, lyrics=None, shared=shared)

        judging = min(cpu_seconds(judge) for _ in range(2))
        videos = {"hybrid": out.name}

        def tell() -> None:
            report.write([edit], [made["quality"]], music, clips, None, shared, page, videos)

        telling = min(cpu_seconds(tell) for _ in range(3))
        size = page.stat().st_size / 1e6
    making = analysing + rendering
    return {
        "quality_suite_of_20s": Figure(judging, "CPU s", note="decode, detector, flow, fingerprints and sound"),
        "quality_suite_to_rendering": Figure(judging / rendering, "ratio", at_most=0.5),
        "report_of_20s": Figure(telling, "CPU s", note="with waveform and thumbnails"),
        "report_to_analysis_and_rendering": Figure(telling / making, "ratio", at_most=0.03),
        "report_size": Figure(size, "MB", at_most=2.0),
    }


def _hash(path: Path) -> str:
    return sha256(path.read_bytes()).hexdigest()


if __name__ == "__main__":
    print(write("quality", run()).read_text())
