"""Watches every system call by which a process changes a folder: lets it pass, fails it, or stops the process there.

The kernel holds each such call (`seccomp`, Linux 5.5 or newer) until a watcher has answered. Writes of C libraries,
such as SQLite and TensorFlow, count as well.
"""

import contextlib
import ctypes
import dataclasses
import errno
import fcntl
import gc
import os
import pathlib
import platform
import select
import signal
import socket
import struct
import tempfile
import threading

import pytest

from tests import forked

# Numbers of the calls on x86-64 and on 64-bit ARM, and what they do.
CALLS = {
    "x86_64": {
        1: "write", 18: "write", 20: "write", 296: "write", 40: "write", 326: "write",
        74: "sync", 75: "sync", 76: "truncate", 77: "truncate", 285: "truncate",
        82: "rename", 264: "renameat", 316: "renameat", 87: "unlink", 263: "unlinkat",
        83: "mkdir", 258: "mkdirat", 84: "rmdir", 2: "open", 257: "openat", 85: "open",
    },
    "aarch64": {
        64: "write", 66: "write", 68: "write", 70: "write", 71: "write", 285: "write",
        82: "sync", 83: "sync", 45: "truncate", 46: "truncate", 47: "truncate",
        38: "renameat", 276: "renameat", 35: "unlinkat", 34: "mkdirat", 56: "openat",
    },
}  # fmt: skip
AUDIT = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
SECCOMP = {"x86_64": 317, "aarch64": 277}
BY_PATH = {"x86_64": (76,), "aarch64": (45,)}
# sendfile and copy_file_range write to another argument than the first; creat has no flags.
TARGET = {("x86_64", 326): 2, ("aarch64", 285): 2}
CREAT = 85
MACHINE = platform.machine()
RECEIVE, SEND, CONTINUE = 0xC0502100, 0xC0182101, 1
RETURN, LOAD, EQUAL, ANY_BIT = 0x06, 0x20, 0x15, 0x45
ALLOW, HOLD = 0x7FFF0000, 0x7FC00000

START = """
import runpy, sys
from tests.reliability import system_calls
place, kind, what, *sys.argv[1:] = sys.argv[1:]
system_calls.hold(place)
if kind == "-m":
    runpy.run_module(what, run_name="__main__", alter_sys=True)
else:
    exec(compile(what, "<string>", "exec"), {"__name__": "__main__"})
"""


def _filter():
    """A program for the kernel: holds the calls of `CALLS`, and of those that open files the ones that write."""
    writing = os.O_CREAT | os.O_TRUNC
    lines = [(LOAD, 0, 0, 4), (EQUAL, 1, 0, AUDIT[MACHINE]), (RETURN, 0, 0, ALLOW), (LOAD, 0, 0, 0)]
    for number, what in CALLS[MACHINE].items():
        if what.startswith("open") and number != CREAT:
            flags = 16 + 8 * (2 if what == "openat" else 1)
            body = [(LOAD, 0, 0, flags), (ANY_BIT, 0, 1, writing), (RETURN, 0, 0, HOLD), (RETURN, 0, 0, ALLOW)]
        else:
            body = [(RETURN, 0, 0, HOLD)]
        lines += [(EQUAL, 0, len(body), number), *body]
    return [*lines, (RETURN, 0, 0, ALLOW)]


def _listener():
    """Lets the kernel hold this process's calls from now on; returns the descriptor that they are told to."""
    lines = _filter()
    packed = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in lines))
    program = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(lines), ctypes.addressof(packed)))
    libc = ctypes.CDLL(None, use_errno=True)
    no_new_privileges, set_filter, new_listener = 38, 1, 8
    libc.prctl(no_new_privileges, 1, 0, 0, 0)
    descriptor = libc.syscall(SECCOMP[MACHINE], set_filter, new_listener, program)
    if descriptor < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return descriptor


def hold(place):
    """Has the calls of this process, and of all that it starts, answered by the watcher that listens at `place`."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(place)
        listener = _listener()
        socket.send_fds(connection, [b"1"], [listener])
        os.close(listener)


def require_watching():
    """Skips the test where the kernel does not hold calls for others."""
    if MACHINE not in CALLS or not forked.POSSIBLE:
        pytest.skip(f"calls of the system are not watched on {platform.system()} {MACHINE}")
    child = os.fork()
    if not child:
        # What libraries with threads of their own have left may not be collected in a fork.
        gc.disable()
        try:
            _listener()
        except OSError:
            os._exit(1)
        os._exit(0)
    if os.waitpid(child, 0)[1]:
        pytest.skip("this kernel does not hold calls of the system for a watcher (seccomp)")


@dataclasses.dataclass(frozen=True)
class Call:
    """A call that is about to happen.

    Attributes:
        what: "write", "sync", "truncate", "rename", "unlink", "mkdir", "rmdir" or "open", which creates or empties.
        path: absolute path of the file or folder.
        target: of a rename, its new path.
        process: number of the thread that calls.
    """

    what: str
    path: str
    target: str | None
    process: int


def watched(forks, folders, answer, *arguments, cwd=None):
    """Runs Python in a fork, as `forked.run` does, and asks about every call that changes something in a folder.

    Args:
        forks: socket of the `tests.forked` server.
        folders: the folders whose calls count.
        answer: function of a `Call` that returns None to let it happen, the number of an error that it shall fail with,
            or "kill" to stop the process before it.
        arguments: of Python, beginning with `-m` or `-c`.

    Returns:
        `subprocess.CompletedProcess`.
    """
    roots = tuple(str(pathlib.Path(folder).resolve()) for folder in folders)
    done = []
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as door:
        place = f"{folder}/door"
        door.bind(place)
        door.listen()
        door.settimeout(60)
        command = threading.Thread(
            target=lambda: done.append(forked.run(forks, "-c", START, place, *arguments, cwd=cwd))
        )
        command.start()
        connection, _ = door.accept()
        with connection:
            _, (listener,), *_ = socket.recv_fds(connection, 1, 1)
        try:
            _serve(listener, roots, answer)
        finally:
            os.close(listener)
            command.join()
    return done[0]


def _serve(listener, roots, answer):
    poll = select.poll()
    poll.register(listener, select.POLLIN)
    while True:
        events = poll.poll()[0][1]
        if not events & select.POLLIN:
            return
        note = bytearray(80)
        try:
            fcntl.ioctl(listener, RECEIVE, note)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.EINTR):
                continue  # Killed meanwhile.
            raise
        number, process, _, call = struct.unpack_from("QIIi", note)
        arguments = struct.unpack_from("6Q", note, 32)
        said = None
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            seen = _call(process, call, arguments)
            if any(
                path and (path == root or path.startswith(root + "/"))
                for path in (seen.path, seen.target)
                for root in roots
            ):
                said = answer(seen)
        if said == "kill":
            os.kill(process, signal.SIGKILL)
            said = errno.EIO
        reply = struct.pack("QqiI", number, 0, -(said or 0), 0 if said else CONTINUE)
        with contextlib.suppress(OSError):
            fcntl.ioctl(listener, SEND, reply)


def _call(process, number, arguments):
    what = CALLS[MACHINE][number]
    if what in ("write", "sync") or (what == "truncate" and number not in BY_PATH[MACHINE]):
        descriptor = arguments[TARGET.get((MACHINE, number), 0)]
        return Call(what, os.readlink(f"/proc/{process}/fd/{descriptor}"), None, process)
    if what.endswith("at"):
        path = _path(process, arguments[1], arguments[0])
        target = _path(process, arguments[3], arguments[2]) if what == "renameat" else None
        if what == "unlinkat" and arguments[2]:
            what = "rmdir"
    else:
        path = _path(process, arguments[0])
        target = _path(process, arguments[1]) if what == "rename" else None
    return Call(what.removesuffix("at"), path, target, process)


HERE = 0xFFFFFF9C


def _path(process, address, folder=HERE):
    memory = os.open(f"/proc/{process}/mem", os.O_RDONLY)
    try:
        name = os.fsdecode(os.pread(memory, 4096, address).partition(b"\0")[0])
    finally:
        os.close(memory)
    folder &= 0xFFFFFFFF
    base = os.readlink(f"/proc/{process}/cwd" if folder == HERE else f"/proc/{process}/fd/{folder}")
    path = os.path.normpath(os.path.join(base, name))
    parent, last = os.path.split(path)
    return os.path.join(os.path.realpath(parent), last)
