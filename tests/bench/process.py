"""What the kernel says of a process: processor seconds and peak memory. Linux only, from proc(5)."""

import os
import resource
from pathlib import Path


TICKS = os.sysconf("SC_CLK_TCK")
UTIME = 11
"""Fields after the command's name: user and system time of the process and its threads, in ticks."""


def cpu_s(pid: int) -> float:
    """Return the processor seconds that a process has used."""
    stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    user, system = stat.rpartition(")")[2].split()[UTIME : UTIME + 2]
    return (int(user) + int(system)) / TICKS


def children_cpu_s() -> float:
    """Return the processor seconds of all children of this process that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def peak_mib(pid: int) -> float:
    """Return the most memory a process has had resident since it began (VmHWM), in MiB."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) / 1024
