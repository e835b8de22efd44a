"""Asks one plug-in file what it holds: a program of its own, which plugin_scan.py starts and nobody imports.

Loading a plug-in runs its code, so it happens here, in a child of a supervisor that outlives its crash, its hanging and
whatever it started. Standard library only. It guards against broken plug-ins; hostile ones find less to do where the
kernel has Landlock (Linux 5.13 and later), and no more protection than that.

Usage: ``plugin_probe.py (clap|vst3) FILE SCRATCH SECONDS``. Standard output gets one JSON object; the exit code is 0,
``TIMED_OUT``, or ``CRASHED`` + the signal's number.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import signal
import struct
import sys
import time
from pathlib import Path

TIMED_OUT, CRASHED = 100, 128
MOST_PLUGINS = 1000  # in one file
MOST_TEXT = 1000  # characters of one name
MEMORY = 8 << 30  # bytes of address space: a plug-in may map its samples
OPEN_FILES = 256
POLL = 0.01  # s

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER, _PR_SET_NO_NEW_PRIVS = 1, 36, 38
_LANDLOCK_CREATE, _LANDLOCK_ADD, _LANDLOCK_RESTRICT = 444, 445, 446  # the same number on every architecture
# Writing, removing, making of any kind; renaming since ABI 2, truncating since ABI 3. Reading stays free.
_FS_WRITES = {1: 0b1_1111_1111_0010, 2: 0b11_1111_1111_0010, 3: 0b111_1111_1111_0010}
_WRITE_ONE = 1 << 1 | 1 << 14  # of these, what can be done to a file itself: writing and truncating


class ClapVersion(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint32) for name in ("major", "minor", "revision")]


class ClapEntry(ctypes.Structure):
    """``clap_plugin_entry`` of CLAP 1 (clap/entry.h)."""

    _fields_ = [
        ("version", ClapVersion),
        ("init", ctypes.CFUNCTYPE(ctypes.c_bool, ctypes.c_char_p)),
        ("deinit", ctypes.CFUNCTYPE(None)),
        ("get_factory", ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_char_p)),
    ]


_CLAP_TEXTS = ("id", "name", "vendor", "url", "manual_url", "support_url", "version", "description")


class ClapDescriptor(ctypes.Structure):
    """``clap_plugin_descriptor`` (clap/plugin.h)."""

    _fields_ = [
        ("clap_version", ClapVersion),
        *((name, ctypes.c_char_p) for name in _CLAP_TEXTS),
        ("features", ctypes.POINTER(ctypes.c_char_p)),
    ]


class ClapFactory(ctypes.Structure):
    """``clap_plugin_factory``; each function takes the factory first. What makes a plug-in is not called."""

    _fields_ = [
        ("count", ctypes.CFUNCTYPE(ctypes.c_uint32, ctypes.c_void_p)),
        ("descriptor", ctypes.CFUNCTYPE(ctypes.POINTER(ClapDescriptor), ctypes.c_void_p, ctypes.c_uint32)),
    ]


class VstFactoryInfo(ctypes.Structure):
    """``PFactoryInfo`` of VST 3 (ipluginbase.h)."""

    _fields_ = [
        ("vendor", ctypes.c_char * 64),
        ("url", ctypes.c_char * 256),
        ("email", ctypes.c_char * 128),
        ("flags", ctypes.c_int32),
    ]


class VstClass(ctypes.Structure):
    """``PClassInfo2``; ``PClassInfo`` is what it begins with, up to and with ``name``."""

    _fields_ = [
        ("cid", ctypes.c_uint8 * 16),
        ("cardinality", ctypes.c_int32),
        ("category", ctypes.c_char * 32),
        ("name", ctypes.c_char * 64),
        ("flags", ctypes.c_uint32),
        ("sub_categories", ctypes.c_char * 128),
        ("vendor", ctypes.c_char * 64),
        ("version", ctypes.c_char * 64),
        ("sdk_version", ctypes.c_char * 64),
    ]


_FACTORY_2 = bytes.fromhex("0007B650F24B4C0BA464EDB9F00B2ABB")  # IPluginFactory2's id
_VST_EFFECT = "Audio Module Class"  # the category of what makes or treats sound; the others are its editors


def said(text: bytes | None) -> str:
    return (text or b"")[: 4 * MOST_TEXT].decode("utf-8", "replace")[:MOST_TEXT]


def clap(path: str) -> list[dict[str, object]]:
    """Descriptors of a CLAP file (clap/entry.h, clap/factory/plugin-factory.h)."""
    entry = ClapEntry.in_dll(ctypes.CDLL(path, mode=os.RTLD_NOW), "clap_entry")
    if entry.version.major < 1:
        raise ValueError(f"speaks CLAP {entry.version.major}.{entry.version.minor}, from before CLAP 1")
    if not entry.init(os.fsencode(path)):
        raise ValueError("refuses to be initialised")
    address = entry.get_factory(b"clap.plugin-factory")
    if not address:
        raise ValueError("holds no plug-in factory")
    factory = ClapFactory.from_address(address)
    found: list[dict[str, object]] = []
    for index in range(min(factory.count(address), MOST_PLUGINS)):
        pointer = factory.descriptor(address, index)
        if not pointer:
            continue
        descriptor, features = pointer.contents, []
        for number in range(64 if descriptor.features else 0):
            if descriptor.features[number] is None:
                break
            features.append(said(descriptor.features[number]))
        texts = {key: said(getattr(descriptor, key)) for key in ("name", "vendor", "version")}
        found.append({"identifier": said(descriptor.id), "features": features, **texts})
    return found


def vst3(path: str) -> list[dict[str, object]]:
    """Classes of a VST 3 module by its factory, whose functions stand in a table at its address (FUnknown's three
    first: queryInterface, addRef, release)."""
    library = ctypes.CDLL(path, mode=os.RTLD_NOW)
    if hasattr(library, "ModuleEntry"):
        library.ModuleEntry.restype = ctypes.c_bool
        if not library.ModuleEntry(ctypes.c_void_p(library._handle)):
            raise ValueError("refuses to be initialised")
    library.GetPluginFactory.restype = ctypes.c_void_p
    factory = library.GetPluginFactory()
    if not factory:
        raise ValueError("holds no plug-in factory")
    result, pointer = ctypes.c_int32, ctypes.c_void_p
    second = pointer()
    query = _method(factory, 0, result, ctypes.c_char_p, ctypes.POINTER(pointer))
    with_details = query(factory, _FACTORY_2, ctypes.byref(second)) == 0 and bool(second.value)
    this = second.value if with_details and second.value else factory
    info = VstFactoryInfo()
    _method(factory, 3, result, ctypes.POINTER(VstFactoryInfo))(factory, ctypes.byref(info))
    count = _method(factory, 4, result)(factory)
    read = _method(this, 7 if with_details else 5, result, ctypes.c_int32, ctypes.POINTER(VstClass))
    found: list[dict[str, object]] = []
    for index in range(min(max(count, 0), MOST_PLUGINS)):
        one = VstClass()
        if read(this, index, ctypes.byref(one)) != 0 or said(one.category) != _VST_EFFECT:
            continue
        found.append(
            {
                "identifier": bytes(one.cid).hex().upper(),
                "name": said(one.name),
                "vendor": said(one.vendor) or said(info.vendor),
                "version": said(one.version),
                "features": said(one.sub_categories).split("|"),
            }
        )
    return found


def _method(this: int, index: int, result: type, *arguments: type):  # type: ignore[no-untyped-def]  # a C function
    table = ctypes.cast(this, ctypes.POINTER(ctypes.POINTER(ctypes.c_void_p))).contents
    return ctypes.CFUNCTYPE(result, ctypes.c_void_p, *arguments)(table[index])


def confine(scratch: str, seconds: int) -> None:
    """Limits of this process and of all that it starts: processor time, memory, files, and (with Landlock) writing
    nowhere but in ``scratch``, no TCP, no signals to anybody outside."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # too long a file fails as a full disk does, and kills nobody
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds + 1, seconds + 2))
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
    for kind, most in ((resource.RLIMIT_NOFILE, OPEN_FILES), (resource.RLIMIT_AS, MEMORY)):
        with contextlib.suppress(ValueError, OSError):  # macOS has no limit of its own on addresses
            resource.setrlimit(kind, (most, most))
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        _landlock(libc, scratch)


def _landlock(libc: ctypes.CDLL, scratch: str) -> None:
    """Documentation/userspace-api/landlock.rst of the kernel. Does nothing where the kernel has none."""
    version = libc.syscall(_LANDLOCK_CREATE, None, ctypes.c_size_t(0), 1)
    if version < 1:
        return
    writes = _FS_WRITES[min(version, 3)]
    rules = struct.pack("QQQ", writes, 0b11 if version >= 4 else 0, 0b11 if version >= 6 else 0)
    size = 24 if version >= 6 else 16 if version >= 4 else 8
    ruleset = libc.syscall(_LANDLOCK_CREATE, rules, ctypes.c_size_t(size), 0)
    for place, allowed in ((scratch, writes), (os.devnull, writes & _WRITE_ONE)):
        opened = os.open(place, os.O_RDONLY | os.O_CLOEXEC)
        libc.syscall(_LANDLOCK_ADD, ruleset, 1, struct.pack("=Qi", allowed, opened), 0)
        os.close(opened)
    libc.syscall(_LANDLOCK_RESTRICT, ruleset, 0)
    os.close(ruleset)


def tell(kind: str, path: str, out: int) -> None:
    """In the child: loads the file and writes what it says to the descriptor ``out``."""
    try:
        answer: dict[str, object] = {"plugins": {"clap": clap, "vst3": vst3}[kind](path)}
    except (OSError, ValueError, AttributeError) as error:  # not loadable, no such symbol, or it refuses
        answer = {"error": " ".join(str(error).split())[:MOST_TEXT]}
    data = json.dumps(answer).encode()
    while data:
        data = data[os.write(out, data) :]


def supervise(kind: str, path: str, scratch: str, seconds: float) -> int:
    """Runs `tell` in a child; kills it when its time is up, and then everything that it has left behind."""
    if sys.platform == "linux":  # what loses its parent becomes this process's child, and is found
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    child = os.fork()
    if child == 0:
        out = os.dup(1)
        nowhere = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):  # what a plug-in prints is nobody's business
            os.dup2(nowhere, descriptor)
        confine(scratch, int(seconds) + 1)
        tell(kind, path, out)
        os._exit(0)  # what it does when it is unloaded does not matter here
    deadline = time.monotonic() + seconds
    while (status := _reap(child)) is None and time.monotonic() < deadline:
        time.sleep(POLL)
    _end_all(child)
    if status is None:
        return TIMED_OUT
    return CRASHED + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def _reap(child: int) -> int | None:
    """The child's status, once it has ended; takes in whatever else has."""
    with contextlib.suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            if ended[0] == child:
                return ended[1]
    return None


def _end_all(child: int) -> None:
    for _ in range(1000):  # each round takes the grandchildren that the last one orphaned
        for process in _children() | ({child} if sys.platform != "linux" else set()):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(process, signal.SIGKILL)
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def _children() -> set[int]:
    """Of this process, by /proc; empty where there is none."""
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, IndexError, ValueError):
            # Behind the name in brackets, which may hold anything: state, then the parent.
            if int(stat.read_text(errors="replace").rpartition(")")[2].split()[1]) == os.getpid():
                found.add(int(stat.parent.name))
    return found


if __name__ == "__main__":
    raise SystemExit(supervise(sys.argv[1], sys.argv[2], sys.argv[3], float(sys.argv[4])))
