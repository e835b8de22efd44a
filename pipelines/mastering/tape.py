"""A sound that the chain goes over several times: in memory, or in an unnamed file so that an hour needs no gigabytes.

What is done to it on the way is left to the caller.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from pipelines.media.audio import stream

BLOCK = 1 << 16  # samples, a multiple of every cell (envelopes.py)


class Tape:
    """Float32 [n_channels, n_samples], appended block by block, then read anywhere.

    With a ``folder`` the samples lie in a file there that has no name, so a killed process leaves nothing behind.
    """

    def __init__(self, n_channels: int, sample_rate: int, folder: Path | None = None) -> None:
        self.n_channels, self.sample_rate, self.n_samples = n_channels, sample_rate, 0
        self._folder = folder
        self._made: list[Tape] = []
        self._file = None if folder is None else tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115 (close)
        self._parts: list[NDArray[np.float32]] = []

    @classmethod
    def of(cls, samples: NDArray[np.float32], sample_rate: int) -> Tape:
        tape = cls(len(samples), sample_rate)
        tape.append(samples)
        return tape

    def like(self) -> Tape:
        """An empty one for the same kind of sound, in the same place; closed with this one at the latest."""
        self._made.append(Tape(self.n_channels, self.sample_rate, self._folder))
        return self._made[-1]

    def append(self, block: NDArray[np.float32]) -> None:
        """``block`` [n_channels, n]; kept as it is when in memory, so it must not change afterwards."""
        self.n_samples += block.shape[1]
        if self._file is None:
            self._parts.append(np.asarray(block, np.float32))
            return
        data = memoryview(np.ascontiguousarray(block.T, np.float32).tobytes())
        while data:
            data = data[self._file.write(data) :]

    def read(self, start: int, n: int) -> NDArray[np.float32]:
        """[n_channels, n] from ``start`` on, which may lie before 0; zeros beyond both ends. Not to be written to."""
        first, last = max(start, 0), min(start + n, self.n_samples)
        inside = self._inside(first, last) if first < last else np.zeros((self.n_channels, 0), np.float32)
        if inside.shape[1] == n:
            return inside
        before = min(max(first - start, 0), n)
        return np.pad(inside, ((0, 0), (before, n - before - inside.shape[1])))

    def blocks(self, size: int = BLOCK) -> Iterator[NDArray[np.float32]]:
        """All of it in blocks of ``size`` samples; the last may be shorter."""
        for start in range(0, self.n_samples, size):
            yield self.read(start, min(size, self.n_samples - start))

    def _inside(self, first: int, last: int) -> NDArray[np.float32]:
        if self._file is None:
            if len(self._parts) > 1:
                self._parts = [np.concatenate(self._parts, axis=1)]
            return self._parts[0][:, first:last]
        width = 4 * self.n_channels
        data, at, wanted = [], first * width, (last - first) * width
        while wanted:  # a read may return less than was asked for
            data.append(os.pread(self._file.fileno(), wanted, at))
            at, wanted = at + len(data[-1]), wanted - len(data[-1])
        frames = np.frombuffer(b"".join(data), np.float32).reshape(-1, self.n_channels)
        return np.ascontiguousarray(frames.T)

    def close(self) -> None:
        self._parts = []
        for tape in self._made:
            tape.close()
        if self._file is not None:
            self._file.close()

    def __enter__(self) -> Tape:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def record(source: Path, folder: Path, *, max_hours: float = 4.0) -> tuple[Tape, tuple[str, ...]]:
    """A file's sound on a tape in ``folder``, and its channels' names. Raises BadInput as decoding does."""
    tape: Tape | None = None
    channels: tuple[str, ...] = ()
    try:
        for block in stream(source, max_hours=max_hours):
            if tape is None:
                tape, channels = Tape(len(block.samples), block.sample_rate, folder), block.channels
            tape.append(block.samples)
    except BaseException:
        if tape is not None:
            tape.close()
        raise
    if tape is None:
        raise ValueError("no block of sound")
    return tape, channels
