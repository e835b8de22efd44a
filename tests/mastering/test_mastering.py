"""Masters as files: what is promised is measured on the file as it was written; mixes of stems; bad input."""

from __future__ import annotations

import resource
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest

from pipelines.audio.loudness import measure
from pipelines.errors import BadInput, Unavailable
from pipelines.mastering import encoders, mastering, pictures
from pipelines.mastering.alignment import align
from pipelines.mastering.chain import Settings4
from pipelines.mastering.mastering import Master, master, mix
from pipelines.media.audio import decode
from pipelines.storage.arrays import pack, unpack
from tests.audio.generated import drums
from tests.media import soundfiles

MEDIA = Path("sample/media")
SURROUND = MEDIA / "big_buck_bunny_5s.mp4"


@pytest.fixture(scope="module")
def song(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight seconds of a real song."""
    audio = decode(MEDIA / "lets_go_fishin.ogg")
    rate = audio.sample_rate
    path = tmp_path_factory.mktemp("song") / "song.wav"
    return soundfiles.write(path, np.ascontiguousarray(audio.samples[:, 20 * rate : 28 * rate]), rate)


@pytest.mark.parametrize("ending", ["wav", "flac", "ogg", "opus", "mp3", "m4a"])
def test_every_format_meets_target_and_ceiling_as_written(song: Path, tmp_path: Path, ending: str) -> None:
    made = master(song, tmp_path / f"out.{ending}", "loud")
    audio = decode(made.path)
    found = measure(audio.samples, audio.sample_rate, audio.channels)
    assert found.integrated == pytest.approx(-10, abs=0.1)
    assert found.true_peak <= -1
    assert made.after.lufs == pytest.approx(found.integrated, abs=0.01)
    assert made.after.true_peak_dbtp == pytest.approx(found.true_peak, abs=0.01)
    assert audio.sample_rate == made.sample_rate
    assert audio.duration == pytest.approx(made.duration, abs=0.06)  # codecs fill up their last frame
    assert [p.name for p in tmp_path.iterdir()] == [f"out.{ending}"]


def test_a_wav_has_24_bits_and_the_source_s_length(song: Path, tmp_path: Path) -> None:
    made = master(song, tmp_path / "out.wav", "streaming")
    with av.open(str(made.path)) as container:
        assert container.streams.audio[0].codec_context.name == "pcm_s24le"
    assert decode(made.path).samples.shape == decode(song).samples.shape


@pytest.mark.parametrize("ending", ["wav", "flac", "ogg", "mp3", "m4a"])
def test_same_input_same_bytes(song: Path, tmp_path: Path, ending: str) -> None:
    first, again = (master(song, tmp_path / f"{i}.{ending}", "vinyl").path for i in range(2))
    assert first.read_bytes() == again.read_bytes()


@pytest.mark.parametrize("ending", ["wav", "flac", "m4a", "ogg"])
def test_surround_stays_surround(tmp_path: Path, ending: str) -> None:
    made = master(SURROUND, tmp_path / f"out.{ending}", "broadcast")
    audio = decode(made.path)
    assert audio.channels == made.channels == ("FL", "FR", "FC", "LFE", "BL", "BR")
    found = measure(audio.samples, audio.sample_rate, audio.channels)
    assert found.integrated == pytest.approx(-23, abs=0.15)
    assert found.true_peak <= -1


def test_side_channels_keep_their_names(tmp_path: Path) -> None:
    samples = 0.2 * soundfiles.sine(1.0, channels=6)
    source = soundfiles.write(tmp_path / "side.wav", samples, layout="5.1(side)")
    made = master(source, tmp_path / "out.flac", "broadcast")
    assert decode(made.path).channels == ("FL", "FR", "FC", "LFE", "SL", "SR")


@pytest.mark.parametrize(
    ("rate", "ending", "written"),
    [(96000, "wav", 96000), (96000, "mp3", 48000), (8000, "m4a", 8000), (8000, "ogg", 48000), (88200, "mp3", 44100)],
)
def test_rates(tmp_path: Path, rate: int, ending: str, written: int) -> None:
    source = soundfiles.write(tmp_path / "in.wav", drums(120, seconds=4, sample_rate=rate).samples[None, :], rate)
    made = master(source, tmp_path / f"out.{ending}", "streaming")
    assert decode(made.path).sample_rate == made.sample_rate == written
    assert made.after.lufs == pytest.approx(-14, abs=0.2)
    assert made.after.true_peak_dbtp <= -1


def test_without_a_preset_the_rule_suggests_one(song: Path, tmp_path: Path) -> None:
    made = master(song, tmp_path / "out.wav")
    assert made.suggestion is not None
    assert made.suggestion.name == made.preset.name
    assert 0 < made.suggestion.confidence <= 1
    assert master(song, tmp_path / "own.wav", "warm").suggestion is None


def test_a_target_and_a_model_s_settings(song: Path, tmp_path: Path) -> None:
    made = master(song, tmp_path / "a.wav", "streaming", target=-18.5)
    assert made.after.lufs == pytest.approx(-18.5, abs=0.05)
    wanted = Settings4(1.0, -1.0, 1.5, -15.0)
    made = master(song, tmp_path / "b.wav", "streaming", settings=wanted)
    assert made.settings.vector == pytest.approx(wanted.vector, abs=0.05)
    made = master(song, tmp_path / "c.wav", "streaming", settings=wanted, target=-17)
    assert made.after.lufs == pytest.approx(-17, abs=0.05)


def test_what_was_done_can_be_stored(song: Path, tmp_path: Path) -> None:
    made = master(song, tmp_path / "out.wav")
    assert unpack(Master, pack(made)) == made


def test_silence_is_written_and_told(tmp_path: Path) -> None:
    source = soundfiles.write(tmp_path / "in.wav", 0 * soundfiles.sine(2.0))
    made = master(source, tmp_path / "out.m4a")
    assert any("silent" in text for text in made.warnings)
    assert made.after.lufs == -np.inf
    assert pictures.before_after(source, made.path, made).startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("source", "out", "arguments", "told"),
    [
        ("song", "out.aiff", {}, r"out\.aiff: has the ending '\.aiff'.*choose one of \.wav, \.flac"),
        ("song", "out.wav", {"preset": "best"}, "preset 'best'"),
        ("song", "out.wav", {"target": -2.0}, "target of -2 LUFS; give -40 to -5"),
        ("song", "out.wav", {"target": float("nan")}, "target of nan"),
        ("none.wav", "out.wav", {}, "none.wav"),
        ("one-by-one-person-detection.mp4", "out.wav", {}, "has no sound"),
        ("ATTRIBUTION.md", "out.wav", {}, "ATTRIBUTION.md"),
        ("big_buck_bunny_5s.mp4", "out.mp3", {}, "MP3 holds 2 channels, not the source's 6"),
    ],
)
def test_what_cannot_be_done_is_said_and_leaves_nothing(
    song: Path, tmp_path: Path, source: str, out: str, arguments: dict[str, object], told: str
) -> None:
    path = song if source == "song" else MEDIA / source
    with pytest.raises(BadInput, match=told):
        master(path, tmp_path / out, **arguments)  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


def test_a_source_is_not_replaced_by_its_master(tmp_path: Path) -> None:
    source = soundfiles.write(tmp_path / "a.wav", soundfiles.sine(1.0))
    data = source.read_bytes()
    with pytest.raises(BadInput, match="take the place of its own source"):
        master(source, tmp_path / "a.wav", "loud")
    assert source.read_bytes() == data


def test_a_full_disk_leaves_the_old_master(song: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.wav"
    out.write_bytes(b"old")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, before[1]))
    try:
        with pytest.raises(Unavailable, match="no room left"):
            master(song, out, "loud")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert [p.name for p in tmp_path.iterdir()] == ["out.wav"]
    assert out.read_bytes() == b"old"


def test_numbers_that_are_none_become_silence_before_the_chain(tmp_path: Path) -> None:
    wave = soundfiles.sine(2.0)
    wave[:, 1000:1020] = np.nan
    made = master(soundfiles.write(tmp_path / "nan.wav", wave), tmp_path / "out.wav", "streaming")
    assert made.after.lufs == pytest.approx(-14, abs=0.05)


def test_the_picture_shows_both(song: Path, tmp_path: Path) -> None:
    made = master(song, tmp_path / "out.wav", "loud")
    png = pictures.before_after(song, made.path, made)
    assert png.startswith(b"\x89PNG")
    assert png == pictures.before_after(song, made.path, made)
    assert png != pictures.before_after(song, song, made)


# --- mixing -----------------------------------------------------------------------------------------------------------


def stem(path: Path, samples: np.ndarray, rate: int = 48000) -> Path:
    return soundfiles.write(path, np.atleast_2d(samples).astype(np.float32), rate)


def smooth_noise(n: int, seed: int = 0) -> np.ndarray:
    wave = np.convolve(np.random.default_rng(seed).standard_normal(n), np.hanning(15), mode="same")
    return (0.2 * wave / np.abs(wave).max()).astype(np.float32)


@pytest.mark.parametrize("lag", [0.0, 0.25, -0.25])
def test_a_mix_is_the_sum_of_the_stems_where_they_belong(tmp_path: Path, lag: float) -> None:
    inst, vocal = smooth_noise(96000), smooth_noise(48000, seed=1)
    shift = round(lag * 48000)
    silent = 12000 if lag < 0 else 0
    vocal[:silent] = 0  # so that nothing is heard before the instrumental
    made = decode(mix(stem(tmp_path / "i.wav", inst), stem(tmp_path / "v.wav", vocal), tmp_path / "m.wav", lag))
    expected = inst.copy()
    expected[max(shift, 0) : shift + 48000] += vocal[max(-shift, 0) :]
    np.testing.assert_allclose(made.samples[0], expected, atol=1e-6)


def test_what_is_heard_before_or_after_the_instrumental_is_kept(tmp_path: Path) -> None:
    inst, vocal = stem(tmp_path / "i.wav", smooth_noise(48000)), stem(tmp_path / "v.wav", smooth_noise(48000, 1))
    early = decode(mix(inst, vocal, tmp_path / "e.wav", -0.5))
    late = decode(mix(inst, vocal, tmp_path / "l.wav", 0.5))
    assert early.samples.shape == late.samples.shape == (1, 72000)


def test_drift_and_another_rate_are_undone(tmp_path: Path) -> None:
    """A vocal recorded at 44.1 kHz by a clock 100 ppm fast cancels against itself to -60 dB when put back."""
    rate, drift, lag = 48000, 100.0, 0.37
    t = np.arange(rate * 8) / rate
    hz = [220.0, 997.0, 5003.0]

    def voice(at: np.ndarray) -> np.ndarray:
        return np.asarray(sum(0.1 * np.sin(2 * np.pi * f * at) for f in hz))

    at = np.arange(44100 * 5) / 44100  # the vocal's own clock
    vocal = voice(at * (1 + drift * 1e-6) + lag)
    made = decode(
        mix(stem(tmp_path / "i.wav", -voice(t)), stem(tmp_path / "v.wav", vocal, 44100), tmp_path / "m.wav", lag, drift)
    )
    inside = made.samples[0, round(1.0 * rate) : round(5.0 * rate)]
    assert 20 * np.log10(np.sqrt(np.mean(inside**2)) / np.sqrt(np.mean(vocal**2))) < -60


@pytest.mark.parametrize("lag", [1.2345, -2.5])
def test_what_alignment_finds_puts_a_shifted_stem_back(tmp_path: Path, lag: float) -> None:
    """The upside-down copy of a song, begun earlier or later, cancels it once it is aligned and mixed."""
    audio = decode("sample/media/lets_go_fishin.ogg")
    rate = audio.sample_rate
    wave = audio.samples[:, 10 * rate : 40 * rate]
    n = round(lag * rate)
    shifted = -wave[:, n:] if n > 0 else np.pad(-wave, ((0, 0), (-n, 0)))
    inst, vocal = stem(tmp_path / "i.wav", wave, rate), stem(tmp_path / "v.wav", shifted, rate)
    found = align(inst, vocal)
    made = decode(mix(inst, vocal, tmp_path / "m.wav", found.lag_s, found.drift_ppm)).samples[:, 5 * rate : 25 * rate]
    assert np.sqrt(np.mean(made**2)) < 10 ** (-40 / 20) * np.sqrt(np.mean(wave**2))


def test_a_mono_vocal_goes_to_both_sides_of_a_stereo_instrumental(tmp_path: Path) -> None:
    inst = stem(tmp_path / "i.wav", np.zeros((2, 24000)))
    vocal = smooth_noise(24000)
    made = decode(mix(inst, stem(tmp_path / "v.wav", vocal), tmp_path / "m.wav", 0.0))
    np.testing.assert_allclose(made.samples, np.stack([vocal, vocal]), atol=1e-6)


def test_a_sum_above_full_scale_is_not_cut_off(tmp_path: Path) -> None:
    loud = stem(tmp_path / "a.wav", 0.9 * np.ones((2, 4800)))
    made = decode(mix(loud, loud, tmp_path / "m.wav", 0.0))
    assert made.samples.max() == pytest.approx(1.8, abs=1e-3)


@pytest.mark.parametrize(("lag", "drift"), [(100.0, 0.0), (float("nan"), 0.0), (0.0, 5000.0), (0.0, float("inf"))])
def test_stems_that_cannot_belong_together(tmp_path: Path, lag: float, drift: float) -> None:
    path = stem(tmp_path / "a.wav", smooth_noise(4800))
    with pytest.raises(BadInput, match="not that of two stems"):
        mix(path, path, tmp_path / "m.wav", lag, drift)


def test_a_surround_vocal_over_a_stereo_instrumental_is_refused(tmp_path: Path) -> None:
    inst = stem(tmp_path / "i.wav", np.zeros((2, 4800)))
    vocal = soundfiles.write(tmp_path / "v.wav", 0.1 * soundfiles.sine(0.1, channels=6))
    with pytest.raises(BadInput, match="a channel FC that the instrumental lacks"):
        mix(inst, vocal, tmp_path / "m.wav", 0.0)


def test_a_lossy_file_that_cannot_be_tamed_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No codec here does so; a meter that always reads 3 dB too high stands in for one."""
    source = soundfiles.write(tmp_path / "in.wav", soundfiles.sine(1.0))
    real = mastering.measure_file
    monkeypatch.setattr(mastering, "measure_file", lambda path: replace(real(path), true_peak=3.0))
    with pytest.raises(BadInput, match=r"stays 4\.0 dB above -1 dBTP as MP3; choose \.wav or \.flac"):
        master(source, tmp_path / "out.mp3", "loud")
    assert [p.name for p in tmp_path.iterdir()] == ["in.wav"]


def test_formats_know_their_rates() -> None:
    assert encoders.MP3.rate_for(96000) == 48000
    assert encoders.MP3.rate_for(88200) == 44100
    assert encoders.MP3.rate_for(192000) == 48000
    assert encoders.OPUS.rate_for(44100) == 48000
    assert encoders.AAC.rate_for(10000) == 11025
    assert encoders.WAV.rate_for(12345) == 12345
