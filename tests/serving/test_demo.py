"""The demo as a person types it, over a folder of their own that nothing can come of."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
MEDIA = PROJECT / "sample" / "media"


def test_a_job_that_nothing_comes_of_is_said_to_be_so(tmp_path: Path) -> None:
    folder = tmp_path / "samples" / "song"
    folder.mkdir(parents=True)
    shutil.copy(MEDIA / "vibe_ace.ogg", folder)
    clip = bytearray((MEDIA / "big_buck_bunny_5s.mp4").read_bytes())
    start = clip.index(b"mdat") + 4
    size = int.from_bytes(clip[start - 8 : start - 4], "big") - 8
    clip[start : start + size] = bytes(size)  # a sound header over pictures that are gone
    (folder / "clip.mp4").write_bytes(clip)
    (folder / "job.yaml").write_text(
        "owner: tester\nfiles: [{file: vibe_ace.ogg, kind: music}, {file: clip.mp4, kind: clip}]\nedit: {duration: 2}\n"
    )
    environment = {**os.environ, "ORIMONO_HOME": str(tmp_path / "home"), "ORIMONO_SETTLE_SECONDS": "0.05"}
    command = [sys.executable, "-m", "serving.cli", "demo", "--json", "--samples", str(tmp_path / "samples")]
    done = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True)
    assert done.returncode == 1, done.stderr[-2000:]
    error = json.loads(done.stdout)["error"]
    assert error == {"kind": "failed", "message": "song: nothing came of it; `orimono status` says why"}
