"""A script and all that it starts may use no more of the machine than these limits."""

from __future__ import annotations

import contextlib
import os
import resource
from pathlib import Path
from typing import Final

from pydantic import Field

from ska_oso_oet.errors import OetError
from ska_oso_oet.models import Model

_MIB: Final = 1024 * 1024
_PREFIX: Final = "oet-"
_MEMORY_FILES: Final = ("memory.max", "memory.limit_in_bytes")
_OOM_FILES: Final = ("memory.events", "memory.oom_control")


class LimitFailed(OetError):
    """A limit that is configured cannot be set, so that the script is not run."""

    code = "OET_LimitFailed"


class ScriptLimits(Model):
    """Memory (MiB beyond what a worker begins with) and processes, threads included; None is no limit.

    `exit_timeout` is how long the clean-up of what it has left may last once it has ended (s).

    `cgroups` are directories of cgroups in which groups may be made: one of version 2, or one for each
    controller of version 1. Without one that counts memory, the limit is one of the address space of each
    process (RLIMIT_AS); processes are counted by a cgroup only.
    """

    memory: float | None = None
    processes: int | None = None
    cgroups: list[Path] = Field(default_factory=list)
    exit_timeout: float = 10.0

    def impose(self) -> None:
        """Put this process into groups of its own; raises LimitFailed."""
        try:
            counted = [self._enter(cgroup) for cgroup in self.cgroups]
            if self.memory is not None and not any(counted):
                _limit_address_space(int(self.memory * _MIB))
        except OSError as error:
            raise LimitFailed(f"the limits of a script cannot be set: {error}") from None

    def _enter(self, cgroup: Path) -> bool:
        """Make a group and enter it; returns whether it bounds memory."""
        with contextlib.suppress(FileNotFoundError):  # version 1 has no such file
            for controller in ("memory", "pids"):
                if controller in (cgroup / "cgroup.controllers").read_text().split():
                    (cgroup / "cgroup.subtree_control").write_text(f"+{controller}")
        group = _group(cgroup, os.getpid())
        group.mkdir()
        if self.processes is not None and (group / "pids.max").exists():
            (group / "pids.max").write_text(str(self.processes))
        memory = next((group / name for name in _MEMORY_FILES if (group / name).exists()), None)
        if self.memory is not None and memory is not None:
            memory.write_text(str(int(self.memory * _MIB)))
        (group / "cgroup.procs").write_text(str(os.getpid()))
        return memory is not None

    def lift(self, pid: int) -> str | None:
        """Remove the groups of a process that is gone; returns why the kernel killed in them, if it did."""
        message = None
        for cgroup in self.cgroups:
            group = _group(cgroup, pid)
            if _has_killed(group):
                message = f"killed, as it took more than the {self.memory:g} MiB of memory that it may have"
            with contextlib.suppress(OSError):
                group.rmdir()
        return message

    def tidy_up(self) -> None:
        """Remove the groups that a killed controller left."""
        for cgroup in self.cgroups:
            for group in cgroup.glob(f"{_PREFIX}*"):
                with contextlib.suppress(OSError):  # one that is not empty belongs to a live process
                    group.rmdir()


def _group(cgroup: Path, pid: int) -> Path:
    return cgroup / f"{_PREFIX}{pid}"


def _limit_address_space(size: int) -> None:
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    limit = used + size if most == resource.RLIM_INFINITY else min(used + size, most)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _has_killed(group: Path) -> bool:
    for name in _OOM_FILES:
        with contextlib.suppress(OSError, ValueError):
            counts = dict(line.split() for line in (group / name).read_text().splitlines())
            if int(counts.get("oom_kill", 0)):
                return True
    return False
