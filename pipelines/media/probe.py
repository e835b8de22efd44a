"""What a media file holds, from its header: streams, lengths, sizes. Decoding is left to audio.py and frames.py.

Every file a person uploads is opened by `open_media`, so that what is no media is refused in one place.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.errors import BadInput

if TYPE_CHECKING:
    from av.audio.stream import AudioStream as AvAudioStream
    from av.container import InputContainer
    from av.video.stream import VideoStream as AvVideoStream

FORMATS = "wav, flac, ogg, mp3, m4a, mp4, mov, webm or mkv"

# Containers that hold sound or a moving picture in one file. Anything that FFmpeg would read as a list of other files
# (playlists, concat scripts, numbered images) or as a picture of text (tty) is no upload of ours.
CONTAINERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,flv,asf,ogg,gif,apng,nut,mxf,m4v,h264,hevc,obu,"
    "ivf,dv,rm,vob,yuv4mpegpipe,wtv,aac,ac3,aiff,flac,mp3,wav,w64,au,caf,amr"
)

# Demuxers that take text or a still picture for a film: opened only to be called by their name.
_REFUSED = {
    "a text file": {"tty", "srt", "webvtt", "ass", "lrc", "subviewer", "microdvd", "mpl2", "sami", "realtext", "stl"},
    "a still picture": {"ico", *(f"{kind}_pipe" for kind in ("bmp", "gif", "jpeg", "jpegxl", "png", "svg", "webp"))},
}


@dataclass(frozen=True, slots=True)
class AudioStream:
    codec: str
    sample_rate: int  # Hz
    channels: int
    duration: float  # s


@dataclass(frozen=True, slots=True)
class VideoStream:
    codec: str
    width: int  # as shown, after rotation and with square pixels
    height: int
    fps: Fraction  # average; the exact times are VideoFeatures.frame_times
    duration: float  # s
    rotation: int  # degrees clockwise: 0, 90, 180, 270


@dataclass(frozen=True, slots=True)
class MediaInfo:
    path: Path
    audio: AudioStream | None
    video: VideoStream | None
    duration: float  # s, the longer of the two


def open_media(path: Path | str) -> InputContainer:
    """The opened container (close it, or use ``with``); the content decides the format, not the file's name.

    Raises BadInput when the file is missing, empty, not media, or a playlist, text or still picture.
    """
    import av

    path = Path(path)
    if not path.is_file():
        raise BadInput(path, "is not a file", "check the path")
    if path.stat().st_size == 0:
        raise BadInput(path, "is empty (0 bytes)", "copy the file again")
    try:
        allowed = ",".join([CONTAINERS, *(name for names in _REFUSED.values() for name in sorted(names))])
        options = {"format_whitelist": allowed, "protocol_whitelist": "file"}
        container = av.open(str(path.resolve()), mode="r", metadata_errors="replace", options=options)
    except (av.error.FFmpegError, ValueError) as error:
        reason = "is no media file that can be read, or its header is damaged"
        raise BadInput(path, reason, f"give an undamaged {FORMATS} file") from error
    names = set(container.format.name.split(","))
    for kind, refused in _REFUSED.items():
        if names & refused:
            container.close()
            raise BadInput(path, f"is {kind}, not a media file", f"give a {FORMATS} file")
    return container


def music_stream(container: InputContainer) -> AvAudioStream | None:
    """The stream a player would choose: the first that the file calls its default, else the first with channels."""
    streams = [s for s in container.streams.audio if s.codec_context is not None and s.codec_context.channels > 0]
    return next((s for s in streams if _has(s, "default")), streams[0] if streams else None)


def film_stream(container: InputContainer) -> AvVideoStream | None:
    """The first moving picture; the cover of a song is none."""
    streams = [s for s in container.streams.video if s.codec_context is not None and s.codec_context.width > 0]
    return next((s for s in streams if not _has(s, "attached_pic")), None)


def probe(path: Path | str) -> MediaInfo:
    """Streams and lengths of a media file. At most one video frame is decoded, for its rotation.

    Raises BadInput for what is missing, empty or not media, and for a file with neither sound nor moving picture.
    """
    path = Path(path)
    with open_media(path) as container:
        sound, film = music_stream(container), film_stream(container)
        if sound is None and film is None:
            raise BadInput(path, "has neither sound nor a moving picture", f"give a {FORMATS} file")
        lengths = _lengths(container, [s for s in (sound, film) if s is not None])
        audio = video = None
        if sound is not None:
            context = sound.codec_context
            audio = AudioStream(context.name, context.sample_rate, context.channels, lengths[sound.index])
        if film is not None:
            video = _video(container, film, lengths[film.index])
        return MediaInfo(path, audio, video, max(lengths.values()))


def _video(container: InputContainer, stream: AvVideoStream, duration: float) -> VideoStream:
    import av

    context = stream.codec_context
    rotation = 0
    try:
        container.seek(0)
        frame = next(container.decode(stream), None)
        # FFmpeg counts the angle of the display matrix counter-clockwise.
        rotation = 0 if frame is None else round(-frame.rotation / 90) * 90 % 360
    except av.error.FFmpegError:
        pass  # a damaged first frame: the frames that follow are frames.py's to judge
    aspect = stream.sample_aspect_ratio or Fraction(1)
    width, height = round(context.width * (aspect if aspect > 0 else 1)), context.height
    if rotation in (90, 270):
        width, height = height, width
    fps = stream.average_rate or stream.guessed_rate or stream.base_rate or Fraction(25)
    return VideoStream(context.name, width, height, Fraction(fps), duration, rotation)


def _lengths(container: InputContainer, streams: list[AvAudioStream | AvVideoStream]) -> dict[int, float]:
    """Seconds by stream index, from the header, or by reading the packets' stamps where the header says nothing."""
    import av

    whole = container.duration / av.time_base if container.duration else 0.0
    lengths: dict[int, float] = {}
    for stream in streams:
        own = float(stream.duration * stream.time_base) if stream.duration and stream.time_base else 0.0
        lengths[stream.index] = own or whole
    if not all(lengths.values()):
        try:
            for packet in container.demux(streams):
                if packet.pts is not None and packet.time_base is not None:
                    end = float((packet.pts + (packet.duration or 0)) * packet.time_base)
                    lengths[packet.stream_index] = max(lengths[packet.stream_index], end)
        except av.error.FFmpegError:
            pass  # a truncated file: the length is what could be read
    return lengths


def _has(stream: AvAudioStream | AvVideoStream, name: str) -> bool:
    from av.stream import Disposition

    return bool(stream.disposition & Disposition[name])
