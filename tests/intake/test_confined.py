"""What an untrusted file may cost: bombs, lies and crashes end in one sentence each, in a process of their own."""

from __future__ import annotations

import gzip
import io
import os
import struct
import subprocess
import sys
import wave
import zipfile
import zlib
from pathlib import Path

import pytest

from pipelines.errors import BadInput, Unavailable
from pipelines.intake import confined, looking
from pipelines.intake.confined import Bounds
from pipelines.media.hashing import content_hash
from pipelines.settings import PROJECT, Settings


def refused(path: Path, kind: str, bounds: Bounds | None = None, settings: Settings | None = None) -> str:
    with pytest.raises(BadInput) as raised:
        confined.look(path, kind, settings or Settings(), bounds)
    assert raised.value.what == path.name
    return raised.value.reason


@pytest.mark.parametrize(
    ("name", "kind"), [("song.wav", "music"), ("clip.mp4", "clip"), ("words.lrc", "lyrics"), ("song.wav", "mix")]
)
def test_a_sound_file_is_answered_with_its_hash(media: Path, name: str, kind: str) -> None:
    assert confined.look(media / name, kind, Settings()) == content_hash(media / name)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def picture(width: int, height: int) -> bytes:
    """An animated PNG of one colour: a few kilobytes that unpack to width x height x 3 bytes."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    control = struct.pack(">IIIIIHHBB", 0, width, height, 0, 0, 1, 10, 0, 0)
    packer = zlib.compressobj(9)
    row = bytes(1 + 3 * width)
    data = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    parts = [chunk(b"IHDR", head), chunk(b"acTL", struct.pack(">II", 1, 0)), chunk(b"fcTL", control)]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def test_a_picture_bomb_is_no_clip(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(picture(30_000, 9_000))  # 0.8 MB, 810 MB when unpacked
    assert path.stat().st_size < 1 << 20
    assert "30000 x 9000 pixels" in refused(path, "clip") or "still picture" in refused(path, "clip")


def test_hours_of_silence_in_a_few_kilobytes_are_measured(tmp_path: Path) -> None:
    import av
    import numpy as np

    path = tmp_path / "song.flac"
    with av.open(str(path), "w", format="flac") as container:
        stream = container.add_stream("flac", rate=8000)
        stream.layout = "mono"
        for _ in range(120):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.int16), format="s16", layout="mono")
            frame.rate = 8000
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    data = bytearray(path.read_bytes())
    assert len(data) < 30_000
    place = data.index(b"fLaC") + 8 + 13  # STREAMINFO: the last 36 bits before the MD5 are the samples in all
    samples = 8000  # it claims one second
    data[place] = data[place] & 0xF0
    data[place + 1 : place + 5] = struct.pack(">I", samples)
    path.write_bytes(data)
    reason = refused(path, "music", settings=Settings(max_media_hours="0.01"))
    assert "hours" in reason


def test_a_header_that_promises_far_more_than_there_is(tmp_path: Path) -> None:
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        sound.writeframes(bytes(8000))
    data = bytearray(file.getvalue())
    data[40:44] = struct.pack("<I", 60_000_000)  # an hour
    path = tmp_path / "song.wav"
    path.write_bytes(data)
    try:
        confined.look(path, "music", Settings())
    except BadInput as error:
        assert "says that it is" in error.reason


@pytest.mark.parametrize(("channels", "rate"), [(255, 48_000), (1, 4_000_000)])
def test_sound_of_too_many_channels_or_too_high_a_rate(tmp_path: Path, channels: int, rate: int) -> None:
    path = tmp_path / "song.wav"
    with wave.open(str(path), "wb") as sound:
        sound.setnchannels(channels)
        sound.setsampwidth(1)
        sound.setframerate(rate)
        sound.writeframes(bytes(channels * 1000))
    assert "more than can be worked on" in refused(path, "music")


def test_a_packed_table_bomb(tmp_path: Path) -> None:
    path = tmp_path / "ratings.csv.gz"
    header = gzip.compress(b"user,video,decision,decided_at\n")
    packed = gzip.compress(b"a,b,1,2\n" * (1 << 21), 9)  # 16 MB each
    path.write_bytes(header + packed * 140)
    assert path.stat().st_size < 10 << 20
    reason = refused(path, "decisions")
    assert "unpacks to more than 2,048 MB" in reason


def workbook(parts: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    return file.getvalue()


def test_a_workbook_bomb(tmp_path: Path) -> None:
    import openpyxl

    path = tmp_path / "sheet.xlsx"
    book = openpyxl.Workbook()
    book.active.append(["utterance"])
    book.save(path)
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    parts["xl/sharedStrings.xml"] = b"<sst>" + b" " * (300 << 20) + b"</sst>"
    path.write_bytes(workbook(parts))
    assert path.stat().st_size < 1 << 20
    refused(path, "sheet")


def test_a_workbook_of_entities(tmp_path: Path) -> None:
    import openpyxl

    path = tmp_path / "sheet.xlsx"
    book = openpyxl.Workbook()
    book.active.append(["utterance"])
    book.save(path)
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    entities = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 12))
    sheet = parts["xl/worksheets/sheet1.xml"].decode()
    assert ">utterance<" in sheet
    doctype = f'<!DOCTYPE worksheet [<!ENTITY e0 "ha">{entities}]>'
    parts["xl/worksheets/sheet1.xml"] = (doctype + sheet.replace(">utterance<", ">&e11;<")).encode()
    path.write_bytes(workbook(parts))
    refused(path, "sheet")


def test_a_zip_file_is_no_media(tmp_path: Path) -> None:
    path = tmp_path / "song.wav"
    path.write_bytes(workbook({"a": bytes(1 << 20)}))
    assert "no media file" in refused(path, "music")


@pytest.mark.parametrize(
    "text",
    [
        "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:///etc/passwd\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttp://169.254.169.254/latest/meta-data\n",
        "ffconcat version 1.0\nfile '/etc/passwd'\n",
        '<?xml version="1.0"?><MPD><BaseURL>http://127.0.0.1/</BaseURL></MPD>',
        "<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///etc/passwd'/></svg>",
    ],
)
def test_files_that_lead_to_others_are_no_media(tmp_path: Path, text: str) -> None:
    path = tmp_path / "clip.mp4"
    path.write_text(text)
    refused(path, "clip")


def test_what_takes_too_long_is_ended(media: Path) -> None:
    assert "takes more than" in refused(media / "song.wav", "music", Bounds(seconds=0.01))


def test_what_takes_too_much_memory_is_ended(media: Path) -> None:
    reason = refused(media / "clip.mp4", "clip", Bounds(memory=180 << 20))
    assert "of memory" in reason or "breaks the program" in reason


def test_who_looks_writes_nothing_and_sees_no_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bounds hold in the process itself."""
    script = (
        "from pipelines.intake.looking import _confine\n_confine(1 << 30, 5)\n"
        "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        f"open({str(tmp_path / 'x')!r}, 'wb', buffering=0).write(b'x')\n"
    )
    environment = {"PYTHONPATH": str(PROJECT), "PATH": os.defpath}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, env=environment, check=False)
    assert b"File too large" in done.stderr
    monkeypatch.setenv("ORIMONO_API_SECRET", "s3cr3t")
    monkeypatch.setattr(sys, "executable", "/usr/bin/env")
    status, out = confined._run("{}", 10)
    assert status != 0 and b"s3cr3t" not in out


def test_a_process_that_cannot_start_is_no_fault_of_the_file(media: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(Unavailable):
        confined.look(media / "song.wav", "music", Settings())


@pytest.mark.parametrize("length", [0, 1, 8, 44, 100, 3000])
def test_files_that_are_cut_off(media: Path, tmp_path: Path, length: int) -> None:
    """Each ends in an answer, not in a defect."""
    for name, kind in (("song.wav", "music"), ("clip.mp4", "clip")):
        path = tmp_path / name
        path.write_bytes((media / name).read_bytes()[:length])
        try:
            digest = looking.look(path, kind, Settings())
        except BadInput as error:
            assert error.what == name
        else:
            assert digest == content_hash(path)
