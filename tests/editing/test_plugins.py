"""A package from elsewhere brings a pattern, an analyser and a head: installed for real, used in a fresh process.

A second, broken package is installed beside it and must not harm the rest.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]

STACCATO = '''
"""Blinks: a pattern that likes what glows, the analyser that sees it and the head that weighs it."""

import numpy as np

from pipelines.editing.patterns import CuttingStyle, Query


class Glow:
    """Share of each frame that is nearly white."""

    name, version = "glow", "1"

    def start(self, info):
        self.shares = []

    def frame(self, index, time, image):
        self.shares.append(float((image.luma > 200).mean()))

    def finish(self):
        return {"share": np.array(self.shares, np.float32)}


def bright(material):
    glow = [material.clips[c].extra["glow.share"].mean() for c in material.windows.clip]
    return np.tile(np.array(glow, np.float32) / max(glow), (len(material.grid.energy), 1))


staccato = Query("staccato", {"bright": 0.5, "sync": 0.5}, CuttingStyle(shortest=1, longest=4, calm=2, intense=1))
'''

BROKEN = '''
"""A package whose author has left."""

import pipelines.editing.patterns as p

raise RuntimeError("written for another version")
'''

USE = """
import json, logging, sys
logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
sys.path.insert(0, ".")
from pipelines.editing.patterns import patterns
from pipelines.editing.shared import share
from pipelines.video.analysis import analyse
from tests.editing.material import answer, embed, song

clips = [analyse(path) for path in sys.argv[1:]]
shared = share(song(7.0), clips, None, [()] * len(clips), embed=embed)
edits = {name: answer(shared, query, clips) for name, query in patterns().items()}
print(json.dumps({
    "extra": {k: [len(v), float(v.max())] for k, v in clips[0].extra.items()},
    "frames": clips[0].n_frames,
    "heads": sorted(shared.heads),
    "cuts": {name: len(edit.segments) for name, edit in edits.items()},
    "query": edits["staccato"].query,
}))
"""


def wheel(folder: Path, name: str, source: str, points: str) -> Path:
    """A wheel of one module, as any build tool writes it (PEP 427)."""
    info = f"{name}-1.0.dist-info"
    files = {
        f"{name}.py": source,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": points,
    }
    record = [
        f"{path},sha256={base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b'=').decode()},"
        f"{len(text.encode())}"
        for path, text in files.items()
    ]
    files[f"{info}/RECORD"] = "\n".join([*record, f"{info}/RECORD,,", ""])
    out = folder / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(out, "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
    return out


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plugins")
    wheels = [
        wheel(
            folder,
            "orimono_staccato",
            STACCATO,
            "[orimono.patterns]\nstaccato = orimono_staccato:staccato\n"
            "[orimono.scorers]\nbright = orimono_staccato:bright\n"
            "[orimono.analysers]\nglow = orimono_staccato:Glow\n",
        ),
        wheel(
            folder,
            "orimono_abandoned",
            BROKEN,
            "[orimono.patterns]\nruin = orimono_abandoned:ruin\n[orimono.scorers]\nsmell = orimono_abandoned:smell\n",
        ),
    ]
    site = folder / "site"
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--no-index",
        "--no-deps",
    ]
    subprocess.run([*command, "--target", str(site), *map(str, wheels)], check=True, capture_output=True)
    return site


def test_a_pattern_an_analyser_and_a_head_from_another_package(site: Path) -> None:
    clips = [str(PROJECT / "sample/media" / name) for name in ("big_buck_bunny_5s.mp4", "car-detection.mp4")]
    environment = {**os.environ, "PYTHONPATH": str(site)}
    done = subprocess.run(
        [sys.executable, "-c", USE, *clips], cwd=PROJECT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)

    assert seen["extra"]["glow.share"][0] == seen["frames"]
    assert seen["extra"]["glow.share"][1] > 0
    assert seen["heads"] == ["bright", "coverage", "energy", "semantic", "sync"]
    assert list(seen["cuts"]) == ["dynamic", "narrative", "hybrid", "staccato"]
    assert seen["cuts"]["staccato"] > seen["cuts"]["dynamic"]
    assert seen["query"] == {"bright": 0.5, "sync": 0.5}

    for point in ("orimono.patterns ruin", "orimono.scorers smell"):
        assert point in done.stderr
    assert "written for another version" in done.stderr
