"""The chorale model as it is asked: the network in ONNX, the memory and the vocabulary, in one folder or one file.

It gives probabilities. What is sung in the end is chorale.py's to decide, how the model is made is training.py's.
Nothing here needs TensorFlow.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.composing import encoding, tokens
from pipelines.composing.corpus import Chorale
from pipelines.composing.encoding import N_MOVES
from pipelines.composing.memory import Kernel, Memory, Mixing, Passages, Votes
from pipelines.composing.network_export import BETWEEN, OUTPUT, ROWS, VOTES, between
from pipelines.composing.tokens import BEAT, N_PITCHES, REST, UNKNOWN
from pipelines.errors import BadInput

SHIPPED = Path(__file__).resolve().parent / "shipped"
MEMBERS = ("harmonizer.json", "memory.safetensors", "network.onnx")
_FORMAT = 1
_WHAT = "harmonizer"
_REMEDY = "train it again, or roll back to a version that works"
_FLOOR = 1e-6  # of a probability, so that its logarithm is finite
_DAY = (1980, 1, 1, 0, 0, 0)  # a ZIP's first: equal models are equal bytes


@dataclass(frozen=True, slots=True)
class Opinion:
    """``voices`` float32[B, 3, N_PITCHES]: log-probabilities of alto, tenor and bass at each beat's first frame (what
    is known: its pitch alone); ``chords`` float32[B, C]: of the vocabulary's classes."""

    voices: NDArray[np.float32]
    chords: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class _Asked:
    """Passages that run alike over a few beats and over whole phrases, and what the former vote."""

    near: Passages
    far: Passages
    heard: Votes


@dataclass(frozen=True, slots=True)
class Harmonizer:
    """``network``: ONNX bytes; ``reach``: its attention's; ``version``: what it is called. The memory votes twice: by
    ``kernel``, which the network hears, and by ``far``, which counts long runs for more; both are mixed in."""

    network: bytes
    reach: int
    memory: Memory
    vocabulary: tokens.ChordVocabulary
    version: str
    kernel: Kernel = field(default_factory=Kernel)
    far: Kernel = field(default_factory=lambda: Kernel(decay=0.95))
    mixing: Mixing = field(default_factory=Mixing)
    _session: Any = field(init=False, repr=False, compare=False)
    _kept: dict[tuple[bytes, bool], _Asked] = field(init=False, repr=False, compare=False)  # of the last melody
    _remembered: NDArray[np.int64] = field(init=False, repr=False, compare=False)  # [M], the memory's chords

    def __post_init__(self) -> None:
        object.__setattr__(self, "_kept", {})
        object.__setattr__(self, "_remembered", self.vocabulary.classes(self.memory.frames[:, 0]))
        object.__setattr__(self, "_session", _session(self.network))

    @classmethod
    def load(cls, path: Path | None = None) -> Harmonizer:
        """Of a folder, or of a file that `to_bytes` made; the one that ships with the project when None."""
        path = SHIPPED if path is None else path
        try:
            if not path.is_dir():
                return cls.from_bytes(path.read_bytes())
            return cls._of({name: (path / name).read_bytes() for name in MEMBERS})
        except OSError as error:
            raise BadInput(_WHAT, f"{path.name} does not open ({error.strerror})", _REMEDY) from error

    @classmethod
    def from_bytes(cls, data: bytes) -> Harmonizer:
        """Raises BadInput when they are damaged, or of another format."""
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                return cls._of({name: archive.read(name) for name in MEMBERS})
        except (zipfile.BadZipFile, KeyError, EOFError, NotImplementedError) as error:
            raise BadInput(_WHAT, "its file is damaged", _REMEDY) from error

    def to_bytes(self) -> bytes:
        """All of it as a ZIP; equal models are equal bytes."""
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
            for name, data in self.members().items():
                archive.writestr(zipfile.ZipInfo(name, _DAY), data, zipfile.ZIP_DEFLATED, 6)
        return buffer.getvalue()

    def members(self) -> dict[str, bytes]:
        """The files of its folder."""
        from safetensors.numpy import save

        memory = {
            "frames": self.memory.frames.astype(np.int8),
            "first": self.memory.first,
            "minor": self.memory.minor,
            "weight": self.memory.weight,
            "chord_sets": self.vocabulary.sets.astype(np.int16),
            "chord_basses": self.vocabulary.basses.astype(np.int8),
        }
        arrays = save({name: np.ascontiguousarray(array) for name, array in memory.items()})
        facts = {
            "format": _FORMAT,
            "version": self.version,
            "pitches": [tokens.LOWEST, tokens.HIGHEST],
            "rows": [encoding.N_ROWS, encoding.N_FEATURES],
            "reach": self.reach,
            "kernel": asdict(self.kernel),
            "far": asdict(self.far),
            "mixing": asdict(self.mixing),
            "sha256": {"memory.safetensors": _hash(arrays), "network.onnx": _hash(self.network)},
        }
        text = json.dumps(facts, indent=1, sort_keys=True).encode() + b"\n"
        return dict(zip(MEMBERS, (text, arrays, self.network), strict=True))

    @classmethod
    def _of(cls, members: Mapping[str, bytes]) -> Harmonizer:
        from safetensors import SafetensorError
        from safetensors.numpy import load

        try:
            facts = json.loads(members["harmonizer.json"])
            sound = all(_hash(members[name]) == found for name, found in facts["sha256"].items())
            meant = [facts["format"], facts["pitches"], facts["rows"]]
            arrays = load(members["memory.safetensors"])
            reach, version = int(facts["reach"]), str(facts["version"])
            kernel, far, mixing = Kernel(**facts["kernel"]), Kernel(**facts["far"]), Mixing(**facts["mixing"])
            frames, weight = arrays["frames"].astype(np.int64), arrays["weight"]
            memory = Memory(frames, arrays["first"], arrays["minor"], weight)
            vocabulary = tokens.ChordVocabulary(
                arrays["chord_sets"].astype(np.int64), arrays["chord_basses"].astype(np.int64)
            )
        except (ValueError, KeyError, TypeError, IndexError, SafetensorError) as error:
            raise BadInput(_WHAT, "its file is damaged", _REMEDY) from error
        if not sound:
            raise BadInput(_WHAT, "its file is damaged (the hashes differ)", _REMEDY)
        if meant != [_FORMAT, [tokens.LOWEST, tokens.HIGHEST], [encoding.N_ROWS, encoding.N_FEATURES]]:
            raise BadInput(_WHAT, "was made by another version of this program", _REMEDY)
        return cls(members["network.onnx"], reach, memory, vocabulary, version, kernel, far, mixing)

    def skeleton(
        self, soprano: NDArray[np.int64], minor: bool, known: NDArray[np.int64] | None = None, shift: int | None = None
    ) -> Opinion:
        """Of int64[T] relative pitches (T a multiple of 4, -1 rests) and what is ``known`` of alto, tenor and bass at
        each beat's first frame: int64[T / 4, 3], -2 unknown, -1 a rest, else the relative pitch.

        ``shift``: what the pitches had taken off (tokens.shift_of), which tells how high voices can sing.
        """
        n = len(soprano) // BEAT
        known = np.full((n, 3), UNKNOWN) if known is None else known
        frames = np.full((n, BEAT, 4), UNKNOWN)
        frames[..., 0] = soprano.reshape(n, BEAT)
        frames[:, 0, 1:] = known
        if not n:
            return Opinion(np.empty((0, 3, N_PITCHES), np.float32), np.empty((0, len(self.vocabulary)), np.float32))
        asked = self._asked(soprano, minor)
        voices, _, chords = self._network(frames.reshape(-1, 4), minor, shift, None if asked is None else asked.heard)
        if asked is not None:
            there = known if (known != UNKNOWN).any() else None
            near = asked.heard if there is None else self._votes(asked.near, self.kernel, there)
            far = self._votes(asked.far, self.far, there)
            both = self.mixing.both(near, far, known != UNKNOWN)
            share = self.mixing.share(near.match, known != UNKNOWN)
            voices += share[:, None, None] * (both.voices - voices)
            chords += share[:, None] * (both.chords - chords)
        decided = known != UNKNOWN
        voices[decided] = np.eye(N_PITCHES, dtype=np.float32)[tokens.index_of(known[decided])]
        return Opinion(_logs(voices), _logs(chords))

    def inside(self, frames: NDArray[np.int64], minor: bool, shift: int | None = None) -> NDArray[np.float32]:
        """float32[T, 3, N_PITCHES]: log-probabilities of alto, tenor and bass at every frame of int64[T, 4] relative
        pitches, each beat's first frame decided and -2 where it is not; what is decided has its pitch alone."""
        n = len(frames) // BEAT
        beats = frames.reshape(n, BEAT, 4)
        found = np.zeros((n, BEAT, 3, N_PITCHES), np.float32)
        if not n:
            return found.reshape(0, 3, N_PITCHES)
        asked = self._asked(frames[:, 0], minor)
        _, moved, _ = self._network(frames, minor, shift, None if asked is None else asked.heard)
        found[:, 1:] = _moved(beats[:, 0, 1:], moved)
        if asked is not None:
            moves = self.memory.moves(asked.near, beats, self.kernel)
            found[:, 1:] += np.float32(self.mixing.inside) * (moves - found[:, 1:])
        decided = beats[..., 1:] != UNKNOWN
        sung = tokens.index_of(np.where(decided, beats[..., 1:], REST))
        found[decided] = np.eye(N_PITCHES, dtype=np.float32)[sung[decided]]
        return _logs(found).reshape(-1, 3, N_PITCHES)

    def _asked(self, soprano: NDArray[np.int64], minor: bool) -> _Asked | None:
        """What the memory says of a melody; None when it is empty."""
        if not len(self.memory.first):
            return None
        melody = soprano.tobytes(), minor
        kept = self._kept.get(melody)
        if kept is not None:
            return kept
        near = self.memory.passages(soprano, minor, self.kernel)
        far = self.memory.passages(soprano, minor, self.far)
        asked = _Asked(near, far, self._votes(near, self.kernel, None))
        self._kept.clear()
        self._kept[melody] = asked
        return asked

    def _votes(self, passages: Passages, kernel: Kernel, known: NDArray[np.int64] | None) -> Votes:
        return self.memory.votes(passages, self._remembered, len(self.vocabulary), kernel, known)

    def _network(
        self, frames: NDArray[np.int64], minor: bool, shift: int | None, votes: Votes | None
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        """Probabilities: of first frames [B, 3, P], of moves from there [B, 3 frames, 3 voices, N_MOVES], of chords
        [B, C]."""
        rows = encoding.encode(frames, minor, shift)
        n = len(rows)
        silence = np.zeros((n, encoding.N_VOTES), np.float32)
        heard = silence if votes is None else encoding.heard(votes.voices, votes.match)
        out = self._session.run([OUTPUT], {ROWS: rows, VOTES: heard, BETWEEN: between(n, self.reach)})[0]
        ends = 3 * N_PITCHES, 3 * N_PITCHES + 9 * N_MOVES
        first = _mean(out[..., : ends[0]].reshape(-1, n, 3, N_PITCHES))
        moves = _mean(out[..., ends[0] : ends[1]].reshape(-1, n, 3, 3, N_MOVES))
        return first, moves, _mean(out[..., ends[1] :])


def orderless_nll(harmonizer: Harmonizer, pieces: Sequence[Chorale], seed: int = 0, rounds: int = 4) -> float:
    """Nats a note of beats' first notes, given the soprano and what else is known, over all orders of finding them:
    as many hidden as there may be, evenly drawn, the mean of each draw. B. Uria, I. Murray, H. Larochelle, A deep and
    tractable density estimator (2014), eq. 8."""
    rng = np.random.default_rng(seed)
    means = []
    for _ in range(rounds):
        for piece in pieces:
            beats = piece.relative[::BEAT]
            order = rng.permutation(3 * len(beats)).reshape(-1, 3)
            hidden = order < rng.integers(1, order.size + 1)
            known = np.where(hidden, UNKNOWN, beats[:, 1:])
            opinion = harmonizer.skeleton(piece.relative[:, 0], piece.minor, known, piece.shift)
            true = tokens.index_of(beats[:, 1:])
            nats = np.take_along_axis(opinion.voices, true[..., None], -1)[..., 0]
            means.append(-float(nats[hidden].mean()))
    return float(np.mean(means)) if means else float("nan")


def _moved(begun: NDArray[np.int64], moves: NDArray[np.float32]) -> NDArray[np.float32]:
    """Of probabilities of moves [B, 3 frames, 3 voices, N_MOVES] those of pitches, from int64[B, 3] first notes; all
    alike where these are not known."""
    beat, frame, voice, move = np.indices(moves.shape)
    begun_there = begun[beat, voice]
    pitches = np.where(begun_there >= 0, np.maximum(begun_there + move - encoding.MOVE, 0), REST)
    found = np.zeros((*moves.shape[:3], N_PITCHES), np.float32)
    np.add.at(found, (beat, frame, voice, tokens.index_of(pitches)), moves)
    unknown = np.broadcast_to((begun == UNKNOWN)[:, None], moves.shape[:3])
    found[unknown] = 1 / N_PITCHES
    return found


def _mean(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Probabilities, the members' geometric mean, of logits [members, ..., classes]."""
    joint = logits.astype(np.float32)
    joint = joint - joint.max(-1, keepdims=True)
    joint = (joint - np.log(np.exp(joint).sum(-1, keepdims=True))).mean(0)
    found = np.exp(joint)
    return np.asarray(found / found.sum(-1, keepdims=True), np.float32)


def _logs(probabilities: NDArray[np.float32]) -> NDArray[np.float32]:
    found: NDArray[np.float32] = np.log(np.maximum(probabilities, _FLOOR))
    return found


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _session(network: bytes) -> Any:
    """With one thread: several songs are harmonised side by side in processes."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return ort.InferenceSession(network, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises classes of its own for a file that is none
        raise BadInput(_WHAT, "its network does not load", _REMEDY) from error
