"""Viewers who watch series, episode by episode: a small world in which the order of a history tells what comes next,
and what is popular does not. Two towers learn it in seconds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

SERIES, EPISODES = 12, 10
START = 1_700_000_000  # s since the epoch: 2023-11-14
DAY = 86_400


def videos() -> pd.DataFrame:
    rows = [
        {
            "video_id": f"s{series:02}e{episode:02}",
            "title": f"Series {series}, part {episode} ({2000 + series})",
            "genres": ("Comedy", "Drama", "Crime", "花")[series % 4] + "|Series",
        }
        for series in range(SERIES)
        for episode in range(EPISODES)
    ]
    return pd.DataFrame(rows)


def decisions(viewers: int = 120, seed: int = 0) -> pd.DataFrame:
    """About 25 decisions a viewer over some 40 days: mostly the next episode, now and then another series."""
    rng = np.random.default_rng(seed)
    rows = []
    for viewer in range(viewers):
        time = START + int(rng.integers(0, 20 * DAY))
        seen: set[tuple[int, int]] = set()
        series, episode = int(rng.integers(SERIES)), 0
        for _ in range(25):
            if episode >= EPISODES or (series, episode) in seen or rng.random() < 0.12:
                series, episode = int(rng.integers(SERIES)), 0
                while (series, episode) in seen and episode < EPISODES - 1:
                    episode += 1
            if (series, episode) in seen:
                continue
            seen.add((series, episode))
            rows.append((f"viewer {viewer}", f"s{series:02}e{episode:02}", time, float(rng.integers(3, 6))))
            time += int(rng.integers(DAY // 4, 2 * DAY))
            episode += 1
    return pd.DataFrame(rows, columns=["user_id", "video_id", "timestamp", "rating"])


def catalogue(folder: Path) -> Path:
    """A job of videos alone, whose owner allows no training."""
    folder.mkdir(parents=True)
    frame = pd.DataFrame(
        {"video_id": ["x1", "x2"], "title": ["secret one", "secret two"], "genres": ["Drama", "Crime"]}
    )
    frame.to_csv(folder / "videos.csv", index=False)
    (folder / "job.yaml").write_text("owner: somebody else\nfiles: [{file: videos.csv, kind: videos}]\n")
    return folder


def job(folder: Path, viewers: int = 120, seed: int = 0, *, training: bool = True) -> Path:
    """A job folder that `orimono ingest` takes."""
    folder.mkdir(parents=True)
    videos().to_csv(folder / "videos.csv", index=False)
    decisions(viewers, seed).to_csv(folder / "decisions.csv", index=False)
    (folder / "job.yaml").write_text(
        f"owner: series-studio\nconsents: {{training: {str(training).lower()}}}\n"
        "files:\n  - {file: videos.csv, kind: videos}\n  - {file: decisions.csv, kind: decisions}\n"
    )
    return folder
