"""Stops a process before each system call that changes the disk below a folder (ptrace).

Linux on x86-64 and aarch64. What the folder holds at such a stop is exactly what a SIGKILL there
would leave: the page cache outlives a process. Power cuts are another matter (``power``).
"""

import ctypes
import os
import platform
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

TRACEME, CONT_SYSCALL, SETOPTIONS, GET_SYSCALL_INFO = 0, 24, 0x4200, 0x420E
TRACESYSGOOD, TRACEFORK, TRACEVFORK, TRACECLONE, EXITKILL = 1, 2, 4, 8, 1 << 20
OPTIONS = TRACESYSGOOD | TRACEFORK | TRACEVFORK | TRACECLONE | EXITKILL
WALL = 0x40000000  # threads as well
SYSCALL_STOP = signal.SIGTRAP | 0x80
WRITING = os.O_WRONLY | os.O_RDWR

BY_DESCRIPTOR = {
    "x86_64": {1: "write", 18: "pwrite64", 74: "fsync", 75: "fdatasync", 77: "ftruncate"}
    | {91: "fchmod"},
    "aarch64": {64: "write", 68: "pwrite64", 82: "fsync", 83: "fdatasync", 46: "ftruncate"}
    | {52: "fchmod"},
}[platform.machine()]
BY_NAME = {
    "x86_64": {82: "rename", 83: "mkdir", 84: "rmdir", 87: "unlink", 88: "symlink", 90: "chmod"}
    | {258: "mkdirat", 263: "unlinkat", 264: "renameat", 266: "symlinkat", 316: "renameat2"}
    | {268: "fchmodat"},
    "aarch64": {34: "mkdirat", 35: "unlinkat", 36: "symlinkat", 38: "renameat", 53: "fchmodat"}
    | {276: "renameat2"},
}[platform.machine()]
OPENAT = {"x86_64": 257, "aarch64": 56}[platform.machine()]

libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p]
libc.ptrace.restype = ctypes.c_long


class Info(ctypes.Structure):
    """struct ptrace_syscall_info at the entry of a call."""

    _fields_ = (
        ("op", ctypes.c_uint8),
        ("pad", ctypes.c_uint8 * 3),
        ("arch", ctypes.c_uint32),
        ("instruction", ctypes.c_uint64),
        ("stack", ctypes.c_uint64),
        ("number", ctypes.c_uint64),
        ("arguments", ctypes.c_uint64 * 6),
    )


class Stop(NamedTuple):
    """Where the process stands: the call it is about to make, and how many it has made before."""

    number: int
    call: str
    pid: int


def watch(act: Callable[[], None], folder: Path, at_stop: Callable[[Stop], None]) -> int:
    """Run ``act`` in a child; call ``at_stop`` before each of its changes; return its exit code.

    The caller must have no threads: it forks.
    """
    child = os.fork()
    if child == 0:
        libc.ptrace(TRACEME, 0, None, None)
        os.kill(os.getpid(), signal.SIGSTOP)
        code = 1
        with suppress(BaseException):
            act()
            code = 0
        os._exit(code)
    os.waitpid(child, 0)
    check(libc.ptrace(SETOPTIONS, child, None, OPTIONS))
    check(libc.ptrace(CONT_SYSCALL, child, None, None))
    seen = 0
    while True:
        pid, status = os.waitpid(-1, WALL)
        if not os.WIFSTOPPED(status):
            if pid == child:
                return os.waitstatus_to_exitcode(status)
            continue
        pass_on = os.WSTOPSIG(status)
        if pass_on == SYSCALL_STOP:
            call = changing_call(pid, folder)
            if call is not None:
                seen += 1
                at_stop(Stop(seen, call, child))
        if pass_on in {SYSCALL_STOP, signal.SIGTRAP, signal.SIGSTOP}:
            pass_on = 0
        libc.ptrace(CONT_SYSCALL, pid, None, pass_on)  # it may have been killed meanwhile


def changing_call(pid: int, folder: Path) -> str | None:
    info = Info()
    libc.ptrace(GET_SYSCALL_INFO, pid, ctypes.sizeof(info), ctypes.byref(info))
    if info.op != 1:
        return None  # its end, not its beginning
    if info.number in BY_NAME:
        return BY_NAME[info.number]
    if info.number == OPENAT:
        flags = info.arguments[2]
        return "openat" if flags & os.O_CREAT and flags & WRITING else None
    call = BY_DESCRIPTOR.get(info.number)
    if call is None:
        return None
    try:
        path = Path(f"/proc/{pid}/fd/{info.arguments[0]}").readlink()
    except OSError:
        return None
    return call if path.is_relative_to(folder) else None


def check(result: int) -> None:
    if result == -1:
        raise OSError(ctypes.get_errno(), "ptrace")
