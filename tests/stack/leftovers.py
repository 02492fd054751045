"""Finds and ends processes by the mark in their environment, also those whose pid nobody wrote down."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

from tests.servers.daemon import started_at, wait_until


ASK_S = 5
KILL_S = 10


def marked(name: str, value: str) -> list[int]:
    """Live processes started with this in their environment, except this one and its ancestors."""
    spared = set(_lineage(os.getpid()))
    wanted = f"{name}={value}".encode()
    return [pid for pid in _pids() if pid not in spared and wanted in _environment(pid)]


def end(name: str, value: str, *, at_once: bool = False) -> list[int]:
    """End all marked processes, with a warning first unless ``at_once``; returns who was there."""
    found = marked(name, value)
    if not at_once:
        _send(found, signal.SIGTERM)
        wait_until(lambda: not any(map(started_at, found)), within_s=ASK_S)
    # again and again: one that is just starting may make another
    wait_until(lambda: not _send(marked(name, value), signal.SIGKILL), within_s=KILL_S)
    return found


def describe(pid: int) -> str:
    """The pid and its command line, for a person."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return str(pid)
    return f"{pid} {b' '.join(words).decode(errors='replace')[:120]}"


def _send(pids: list[int], number: signal.Signals) -> list[int]:
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue
    return pids


def _pids() -> Iterator[int]:
    return (int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit())


def _environment(pid: int) -> list[bytes]:
    if started_at(pid) is None:
        return []
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return []


def _lineage(pid: int) -> Iterator[int]:
    while pid > 1:
        yield pid
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        pid = int(stat.rpartition(")")[2].split()[1])
