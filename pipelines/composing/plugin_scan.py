"""Finds VST 3 and CLAP plug-ins on this machine and remembers what they say they are.

Each file is asked in a process of its own (plugin_probe.py), so that one that crashes, hangs, floods its output or
writes files costs nothing but its own entry. A failed one is not asked again until its file changes.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import platform
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from pipelines.composing import instruments, module_info, plugin_probe
from pipelines.errors import BadInput
from pipelines.storage import plugins
from pipelines.storage.plugins import Described, Known
from pipelines.studio import Studio
from pipelines.texts import sayable

log = logging.getLogger(__name__)

SUFFIXES = {".vst3": "vst3", ".clap": "clap"}
DEEPEST = 6  # folders inside a folder that is searched
MOST_FILES = 5000
MOST_ANSWER = 1 << 20  # bytes
AT_ONCE = 2  # files asked side by side
_PROBE = Path(plugin_probe.__file__)
_USUAL = {
    "linux": ("~/.clap", "~/.vst3", "/usr/local/lib/clap", "/usr/local/lib/vst3", "/usr/lib/clap", "/usr/lib/vst3"),
    "darwin": tuple(f"{root}/Library/Audio/Plug-Ins/{kind}" for root in ("~", "") for kind in ("CLAP", "VST3")),
}


@dataclass(frozen=True, slots=True)
class Module:
    """One file or bundle. ``binary``: what is loaded; None when it holds none for this machine."""

    format: str
    path: Path
    binary: Path | None
    info: Path | None  # moduleinfo.json
    fingerprint: str  # size and time of what it is read from; changes when the plug-in is updated


@dataclass(frozen=True, slots=True)
class Failure:
    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class ScanSummary:
    """``files`` found, of which ``asked`` were new or changed; ``plugins`` they hold in all, without failed files;
    ``failures`` of this scan and those remembered; ``gone``: files that were known and are not there any more."""

    folders: tuple[str, ...]
    files: int
    asked: int
    plugins: int
    failures: tuple[Failure, ...]
    gone: int


def scan(studio: Studio, folders: Sequence[str | Path] | None = None, *, again: bool = False) -> ScanSummary:
    """Looks through ``folders`` (else the setting's, else the usual ones) and stores what is there.

    ``again`` asks failed files too, though they have not changed. Files known from elsewhere are left as they are.
    BadInput when a folder that was named is none.
    """
    wanted = search_folders(studio.settings.plugin_folders, folders)
    seconds = studio.settings.number("plugin_scan_seconds")
    found = {str(module.path): module for folder in wanted for module in modules(folder)}
    with studio.database.session() as session:
        instruments.register(session)
        known = plugins.known(session)
        missing = [path for path in known if path not in found and _inside(path, wanted)]
        plugins.gone(session, missing)
    due = [module for path, module in found.items() if _due(module, known.get(path), again)]
    failures = [Failure(path, k.error) for path, k in known.items() if path in found and k.error is not None]
    failures = [failure for failure in failures if found[failure.path] not in due]
    n = sum(k.plugins for path, k in known.items() if path in found and k.error is None and found[path] not in due)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for module, outcome in zip(due, pool.map(lambda one: ask(one, seconds), due), strict=True):
            with studio.database.session() as session:  # one each: what is known stays known when the scan is stopped
                if isinstance(outcome, Failure):
                    log.warning("plug-in %s: %s", outcome.path, outcome.reason)
                    failures.append(outcome)
                    plugins.failed(session, _nameless(module), outcome.reason, fingerprint=module.fingerprint)
                else:
                    plugins.replace(session, str(module.path), outcome, fingerprint=module.fingerprint)
                    n += len(outcome)
    failures.sort(key=lambda failure: failure.path)
    return ScanSummary(tuple(map(str, wanted)), len(found), len(due), n, tuple(failures), len(missing))


def search_folders(setting: str, folders: Sequence[str | Path] | None = None) -> list[Path]:
    """Absolute, in the order in which they are searched; of the usual ones, those that exist."""
    given = [Path(one) for one in folders] if folders is not None else [Path(one) for one in setting.split(":") if one]
    for folder in given:
        if not folder.expanduser().is_dir():
            raise BadInput(folder, "is not a folder", "name the folders that hold VST3 or CLAP plug-ins")
    usual = [] if given or folders is not None else [Path(one) for one in _USUAL.get(sys.platform, ())]
    there = [folder.expanduser().resolve() for folder in given or usual if folder.expanduser().is_dir()]
    return list(dict.fromkeys(there))


def modules(folder: Path) -> Iterator[Module]:
    """Plug-in files and bundles below ``folder``, in the order of their paths; what is inside a bundle is its own."""
    found = 0
    for root, names, files in os.walk(folder):
        here = Path(root)
        names.sort()
        bundles = [name for name in names if Path(name).suffix.lower() in SUFFIXES]
        names[:] = [name for name in names if name not in bundles and len(here.relative_to(folder).parts) < DEEPEST]
        for name in sorted([*bundles, *files]):
            path = here / name
            format_ = SUFFIXES.get(path.suffix.lower())
            if format_ is None or not path.exists() or not sayable(str(path)):
                continue  # another kind of file, a link to nowhere, a name that no table can hold
            found += 1
            if found > MOST_FILES:
                log.warning("%s: holds more than %d plug-ins, the rest is left out", folder, MOST_FILES)
                return
            yield _module(format_, path)


def _module(format_: str, path: Path) -> Module:
    if path.is_file():
        return Module(format_, path, path, None, _fingerprint(path))
    contents = path / "Contents"
    if sys.platform == "darwin":
        inside = sorted((contents / "MacOS").glob("*"))
    else:
        inside = sorted((contents / f"{platform.machine()}-linux").glob("*.so"))
    # The newer place first (VST SDK 3.7.8), then the older.
    infos = [contents / "Resources" / "moduleinfo.json", contents / "moduleinfo.json"]
    info = next((one for one in infos if one.is_file()), None)
    binary = next((one for one in inside if one.is_file()), None)
    return Module(format_, path, binary, info, _fingerprint(info, binary))


def _fingerprint(*files: Path | None) -> str:
    stats = []
    for path in files:
        with contextlib.suppress(OSError):  # gone since it was listed
            stats.append(path.stat() if path is not None else None)
    return ",".join(f"{stat.st_size}:{stat.st_mtime_ns}" for stat in stats if stat is not None)


def ask(module: Module, seconds: float) -> list[Described] | Failure:
    """What a plug-in file holds, or why it could not tell within ``seconds``."""
    try:
        if module.info is not None and module.binary is not None:
            with module.info.open("rb") as file:
                entries: Sequence[object] = module_info.classes(file.read(module_info.MOST_BYTES + 1))
        elif module.binary is not None:
            entries = _probed(module.format, module.binary, seconds)
        else:
            raise ValueError(f"holds nothing for this machine ({platform.machine()}, {sys.platform})")
        return [_described(module, entry) for entry in entries]
    except (OSError, ValueError) as error:
        return Failure(str(module.path), _plain(str(error), 500) or type(error).__name__)


def _probed(format_: str, binary: Path, seconds: float) -> list[object]:
    """The answer of the plug-in's own process. Raises ValueError with the reason when there is none."""
    scratch = tempfile.mkdtemp(prefix="orimono-plugin-")
    environment = {"PATH": "/usr/bin:/bin", "HOME": scratch, "TMPDIR": scratch, "LANG": "C.UTF-8"}  # no secrets
    command = [sys.executable, "-I", "-S", str(_PROBE), format_, str(binary), scratch, str(seconds)]
    process = subprocess.Popen(  # noqa: S603
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=scratch,
        env=environment,
        start_new_session=True,
    )
    try:
        data = _read(process, seconds + 5)  # the supervisor ends it before
        code = process.wait(timeout=5)
    except subprocess.TimeoutExpired:
        code = plugin_probe.TIMED_OUT
    finally:
        _end(process)
        shutil.rmtree(scratch, ignore_errors=True)
    if code == plugin_probe.TIMED_OUT:
        raise ValueError(f"did not tell within {seconds:g} s what it is")
    if code < 0 or code > plugin_probe.CRASHED:
        raise ValueError(f"crashed when it was asked what it is ({_signal_name(abs(code) % plugin_probe.CRASHED)})")
    if code:
        raise ValueError(f"ended the process that asked it what it is (exit {code})")
    return _entries(data)


def _entries(data: bytes) -> list[object]:
    try:
        answer = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ValueError("ended the process that asked it what it is") from error
    if not isinstance(answer, dict) or not isinstance(entries := answer.get("plugins"), list):
        raise ValueError(str(answer.get("error", "does not tell what it is") if isinstance(answer, dict) else ""))
    return entries


def _read(process: subprocess.Popen[bytes], seconds: float) -> bytes:
    """Standard output until its end; raises TimeoutExpired after ``seconds``, ValueError when it is too long."""
    assert process.stdout is not None
    data, deadline = bytearray(), time.monotonic() + seconds
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while True:
            if not selector.select(max(deadline - time.monotonic(), 0)):
                raise subprocess.TimeoutExpired(process.args, seconds)
            part = os.read(process.stdout.fileno(), 1 << 16)
            if not part:
                return bytes(data)
            data += part
            if len(data) > MOST_ANSWER:
                raise ValueError("tells more than a plug-in can have to tell")


def _end(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):  # all gone; macOS says so of a zombie
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    if process.stdout is not None:
        process.stdout.close()


def _described(module: Module, entry: object) -> Described:
    if not isinstance(entry, Mapping):
        raise ValueError("describes a plug-in that is none")
    texts = {key: _plain(entry.get(key), 200) for key in ("identifier", "name", "vendor", "version")}
    if not texts["identifier"] or not texts["name"]:
        raise ValueError("describes a plug-in without an identifier or a name")
    said = entry.get("features")
    features = [_plain(one, 60).lower() for one in said[:64]] if isinstance(said, list) else []
    kind = "instrument" if {"instrument", "synthesizer"} & set(features) else "effect"
    tags = instruments.tags_of([*features, texts["name"]]) if kind == "instrument" else ()
    tags = tuple(dict.fromkeys([*(one for one in features if one), *tags]))
    return Described(module.format, **texts, kind=kind, tags=tags, path=str(module.path))


def _nameless(module: Module) -> Described:
    """What stands for a file that has never told what it holds."""
    return Described(module.format, f"file:{module.path}", module.path.stem, "effect", path=str(module.path))


def _plain(value: object, longest: int) -> str:
    text = value if isinstance(value, str) else ""
    return "".join(c for c in text if sayable(c)).strip()[:longest]


def _due(module: Module, known: Known | None, again: bool) -> bool:
    return known is None or known.fingerprint != module.fingerprint or (again and known.error is not None)


def _inside(path: str, folders: Sequence[Path]) -> bool:
    return any(Path(path).is_relative_to(folder) for folder in folders)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
