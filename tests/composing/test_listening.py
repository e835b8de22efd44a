"""Hearing a piece: which font is found, what the built-in one holds, and what the rendered sound is like."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipelines.audio.loudness import measure
from pipelines.composing import rendering, sound_font, spectrogram
from pipelines.composing.piece import Note, Part, Piece, Tempo
from pipelines.composing.sampler import Sampler
from pipelines.composing.sf2 import DRUM_BANK, SoundFont
from pipelines.composing.sf2_writing import Preset, Wave, WrittenZone, to_bytes
from pipelines.errors import BadInput
from pipelines.media.audio import stream
from pipelines.settings import Settings
from tests.composing import hand

RATE = rendering.SAMPLE_RATE


@pytest.fixture(scope="session")
def built_in(tmp_path_factory: pytest.TempPathFactory) -> sound_font.Font:
    """Made once: it takes some seconds."""
    return sound_font.built_in(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="session")
def font(built_in: sound_font.Font) -> SoundFont:
    return built_in.open()


def hz_of(wave: NDArray[np.float32], low: float, high: float, rate: int = RATE) -> float:
    """Where the spectrum is highest between two frequencies."""
    size = 1 << 18
    level = np.abs(np.fft.rfft(wave * np.hanning(len(wave)), size))
    hz = np.arange(len(level)) * rate / size
    inside = (hz > low) & (hz < high)
    return float(hz[inside][level[inside].argmax()])


def tiny_font(path: Path, *, loop: bool = True) -> Path:
    """A font of one sine at 440 Hz."""
    t = np.arange(4410) / 44_100
    wave = Wave("sine", np.sin(2 * np.pi * 440 * t).astype(np.float32), 44_100, 69, 0, (100, 4310) if loop else None)
    path.write_bytes(to_bytes("tiny", [Preset("Sine", 0, 0, (WrittenZone(wave, (0, 127)),))]))
    return path


def test_a_font_that_is_set_is_taken(settings: Settings, tmp_path: Path) -> None:
    path = tiny_font(tmp_path / "mine.sf2")
    found = sound_font.find(replace(settings, sound_font=str(path)))
    assert (found.path, found.name, found.built_in, found.notice) == (path, "mine", False, "")


def test_a_font_that_is_set_and_missing_is_told_of(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"ORIMONO_SOUND_FONT: names .*none.sf2, which is not there; set it to"):
        sound_font.find(replace(settings, sound_font=str(tmp_path / "none.sf2")))


@pytest.mark.parametrize(
    "content", [b"", b"RIFF", b"RIFF\x10\0\0\0WAVE" * 20, bytes(500)], ids=["0", "4", "wav", "zeros"]
)
def test_a_font_that_is_set_and_none_is_told_of(content: bytes, settings: Settings, tmp_path: Path) -> None:
    path = tmp_path / "odd.sf2"
    path.write_bytes(content)
    with pytest.raises(BadInput, match=r"odd\.sf2: "):
        sound_font.find(replace(settings, sound_font=str(path)))


def test_an_installed_font_is_found_and_a_broken_one_passed_over(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "FluidR3_GM.sf2").write_bytes(b"broken")
    tiny_font(tmp_path / "TimGM6mb.sf2")
    assert sound_font.find(settings, places=(tmp_path / "nowhere", tmp_path)).path.name == "TimGM6mb.sf2"


def test_without_any_font_the_built_in_one_is_heard_and_said_so(
    settings: Settings, tmp_path: Path, built_in: sound_font.Font
) -> None:
    kept = settings.home_path / "sound_fonts" / built_in.path.name
    kept.parent.mkdir(parents=True)
    shutil.copy(built_in.path, kept)  # it need not be made again
    found = sound_font.find(settings, places=(tmp_path,))
    assert found.built_in and found.path == kept
    assert "install one such as fluid-soundfont-gm" in found.notice


def test_the_built_in_font_holds_general_midi_in_tune(built_in: sound_font.Font, font: SoundFont) -> None:
    assert built_in.path.stat().st_size <= sound_font.MOST_BYTES
    assert font.programs == {(0, program) for program in range(128)} | {(DRUM_BANK, 0)}
    sampler = Sampler(font, RATE)
    for program in (0, 6, 11, 16, 24, 33, 40, 48, 52, 56, 65, 71, 73, 81, 88, 104):
        for pitch in (45, 66, 81):
            wave = sampler.note(program, pitch, 90, 0.6).sum(axis=0)[2000:26_000]
            true = 440 * 2 ** ((pitch - 69) / 12)
            cents = 1200 * np.log2(hz_of(wave, true * 0.94, true * 1.06) / true)
            assert abs(cents) < 10, (program, pitch)


def test_every_drum_of_the_map_sounds(font: SoundFont) -> None:
    sampler = Sampler(font, RATE)
    for pitch in range(35, 82):
        assert np.abs(sampler.note(0, pitch, 90, 0.1, drums=True)).max() > 0.02, pitch


@given(st.binary(min_size=1, max_size=12), st.integers(0, 4000))
@examples(max_examples=60)
def test_a_damaged_font_plays_or_is_refused(tmp_path_factory: pytest.TempPathFactory, junk: bytes, where: int) -> None:
    folder = tmp_path_factory.getbasetemp()
    path = tiny_font(folder / "damaged.sf2")
    data = bytearray(path.read_bytes())
    at = len(data) - 1 - where % 600  # among the tables
    data[at : at + len(junk)] = junk
    path.write_bytes(bytes(data))
    try:
        wave = Sampler(SoundFont(path), RATE).note(0, 60, 90, 0.2)
    except BadInput:
        return
    assert np.isfinite(wave).all() and wave.shape[1] < 10 * RATE


def one_part(notes: list[Note], program: int = 73, role: str = "melody", tempos: tuple[Tempo, ...] = ()) -> Piece:
    part = Part("part", role, tuple(notes), program)  # type: ignore[arg-type]
    length = max((note.end for note in notes), default=0)
    return replace(hand.empty(), length=length, parts=(part,), tempos=tempos or (Tempo(0, 500_000),))


def test_notes_sound_when_and_at_what_pitch_they_stand(font: SoundFont) -> None:
    # The second half is at half the tempo.
    piece = one_part(
        [Note(0, 480, 69), Note(960, 480, 76), Note(1920, 480, 57)], tempos=(Tempo(0, 500_000), Tempo(960, 1_000_000))
    )
    wave = rendering.render(piece, font).mean(axis=1)
    for start, pitch in ((0.0, 69), (1.0, 76), (3.0, 57)):
        heard = wave[int((start + 0.1) * RATE) : int((start + 0.45) * RATE)]
        assert abs(12 * np.log2(hz_of(heard, 100, 1000) / 440) + 69 - pitch) < 0.15
        before = wave[int((start - 0.1) * RATE) : int((start - 0.01) * RATE)] if start else wave[:0]
        assert not len(before) or np.sqrt(np.mean(before**2)) < 0.2 * np.sqrt(np.mean(heard**2))


@pytest.mark.parametrize("piece", [hand.pop_song(8), hand.waltz()], ids=["pop", "waltz"])
def test_it_is_as_loud_as_meant_and_never_clips(piece: Piece, font: SoundFont) -> None:
    sound = rendering.render(piece, font)
    assert sound.dtype == np.float32 and sound.shape[1] == 2
    heard = measure(sound.T, RATE)
    assert heard.integrated == pytest.approx(rendering.TARGET, abs=0.1) or heard.true_peak == pytest.approx(-1, abs=0.1)
    assert heard.true_peak <= rendering.CEILING + 0.05
    assert len(sound) / RATE == pytest.approx(piece.seconds(piece.length), abs=4)
    assert np.array_equal(sound, rendering.render(piece, font))


def test_instruments_are_brought_to_their_roles_level(font: SoundFont) -> None:
    """A quiet instrument and a loud one carry the melody alike."""
    notes = [Note(480 * i, 480, 60 + i) for i in range(8)]
    accompaniment = Part("Pad", "pad", tuple(Note(0, 3840, p, 70) for p in (48, 52, 55)), 48)
    shares = []
    for program in (73, 30, 11):
        melody = one_part(notes, program)
        both = replace(melody, parts=(*melody.parts, accompaniment))
        raw = [np.concatenate(list(rendering.blocks(p, font)), axis=1) for p in (melody, both)]
        shares.append(10 * np.log10(np.mean(raw[0] ** 2) / np.mean(raw[1] ** 2)))
    assert max(shares) < 0 and min(shares) > -1.5


def test_a_closed_hat_ends_an_open_one(font: SoundFont) -> None:
    def hats(*notes: Note) -> NDArray[np.float32]:
        raw = list(rendering.blocks(one_part(list(notes), 0, "drums"), font))
        return np.concatenate(raw, axis=1).mean(axis=0)

    late = slice(int(0.45 * RATE), int(0.6 * RATE))
    rings, closed = hats(Note(0, 480, 46, 100)), hats(Note(0, 480, 46, 100), Note(240, 60, 42, 1))
    assert np.abs(closed[late]).max() < 0.25 * np.abs(rings[late]).max()


def test_a_wav_and_a_preview_are_written(font: SoundFont, tmp_path: Path) -> None:
    song = hand.pop_song(4)
    done = rendering.write(song, tmp_path / "new" / "a.wav", font, preview=tmp_path / "new" / "a.m4a")
    assert done.wav is not None and done.preview is not None and done.whole
    assert done.lufs == pytest.approx(rendering.TARGET, abs=0.1)
    for path in (done.wav, done.preview):
        n = 0
        for block in stream(path):
            assert block.sample_rate == RATE and block.channels == ("FL", "FR")
            n += block.samples.shape[1]
        assert n / RATE == pytest.approx(done.seconds, abs=0.1)
    assert done.preview.stat().st_size < done.wav.stat().st_size / 8
    assert sorted(p.name for p in done.wav.parent.iterdir()) == ["a.m4a", "a.wav"]
    alone = rendering.write(song, None, font, preview=tmp_path / "alone.ogg")
    assert alone.wav is None and sum(b.samples.shape[1] for b in stream(tmp_path / "alone.ogg")) > 40_000


def test_a_piece_without_notes_is_refused(font: SoundFont) -> None:
    with pytest.raises(BadInput, match="has no notes that could be heard"):
        rendering.render(hand.empty(), font)


def test_a_long_silence_before_the_first_note_is_left_out(font: SoundFont, tmp_path: Path) -> None:
    late = 480 * 2 * 960  # at sixteen minutes
    for start, begins, lasts in ((480 * 2 * 20, 0.0, 20.5), (late, 960.0, 0.5)):
        done = rendering.write(one_part([Note(start, 480, 60)]), None, font, preview=tmp_path / "a.ogg")
        assert (done.begins, done.whole) == (begins, True)
        assert lasts < done.seconds < lasts + 4
        assert len(done.notices) == (begins > 0)
    torn = rendering.write(
        one_part([Note(late, 480, 60), Note(2 * late, 480, 60)]), None, font, preview=tmp_path / "b.ogg"
    )
    assert not torn.whole and torn.seconds < 5
    assert [notice.split(",")[0] for notice in torn.notices] == [
        "The sound begins with the first note",
        "Only the first 15 minutes are to be heard; the files hold all notes.",
    ]


def test_hours_are_cut_and_held_notes_end(font: SoundFont) -> None:
    far = 480 * 2 * 7200  # two hours on
    piece = one_part([Note(0, far, 60), Note(480, 240, 62), Note(far, 480, 64)])
    seconds = 0.0
    for block in rendering.blocks(piece, font):
        assert block.shape[1] <= 1 << 17 and np.isfinite(block).all()
        seconds += block.shape[1] / RATE
    assert seconds < 60


def test_moments_are_those_of_the_piece() -> None:
    piece = hand.waltz()
    ticks = np.array([0, 1, 480 * 13, 480 * 13 + 1, 480 * 25])
    assert rendering.moments(piece, ticks) == pytest.approx([piece.seconds(int(t)) for t in ticks])


def test_a_note_is_seen_in_the_spectrogram_at_its_pitch() -> None:
    t = np.arange(RATE) / RATE
    levels = spectrogram.by_pitch(np.sin(2 * np.pi * 440 * t).astype(np.float32), RATE)
    assert levels.shape[1] == 100
    assert levels[:, 50].argmax() / 3 + 24 == pytest.approx(69, abs=0.4)
    assert spectrogram.draw(np.zeros(10, np.float32), RATE).startswith(b"\x89PNG")
