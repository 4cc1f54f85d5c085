"""The embedded stack starts and stops its processes in order, and decides what follows when one dies."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, replace
from filecmp import cmp
from math import inf
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NoReturn

from ska_oso_oet.embedded.address import HOST, HeldPort
from ska_oso_oet.embedded.child import Child, StackError, show
from ska_oso_oet.embedded.directory import owned
from ska_oso_oet.embedded.limits import StackLimits
from ska_oso_oet.embedded.marked import STACK_MARK, end_stack_processes
from ska_oso_oet.embedded.parts import (
    CONTROLLER,
    REST_ADAPTER,
    REST_SOCKET,
    Parts,
    defaults,
    rest_is_installed,
)
from ska_oso_oet.embedded.readiness import Readiness
from ska_oso_oet.errors import OetError
from ska_oso_oet.orb_threads import keep_idle_threads, make_threads
from ska_oso_oet.private_files import making_private_files
from ska_oso_oet.resources import raise_descriptor_limit
from ska_oso_oet.user_directories import absolute, data_directory

if TYPE_CHECKING:
    from pathlib import Path

DEFAULT_PORT = 10000  # the customary port of a Tango database
PROGRESS_SECS = 10.0
"""After which, and again and again, it is told what a start waits for."""
PYTHON = (sys.executable, "-P", "-m")  # -P: no code of the directory that the stack is started in
REGISTERED = frozenset({0, 2})  # exit codes of json2tango: nothing to do, written


DEFAULT_LIMITS = StackLimits()


def up(
    port: int = DEFAULT_PORT,
    data_dir: Path | None = None,
    parts: Parts | None = None,
    limits: StackLimits = DEFAULT_LIMITS,
) -> int:
    """Run the embedded stack until SIGINT, SIGTERM or SIGHUP; return the exit code for the shell.

    A second signal ends it at once, whatever the servers still have to do.

    `port` is the Tango database's, 0 for a free one. `data_dir` keeps the database, the logs and,
    unless the environment names another store, the Scheduling Blocks; by default it is the platform's
    directory for a user's data. Prints one line on stdout, when the devices reply and
    the controller can start scripts:
    `ready TANGO_HOST=127.0.0.1:<port>`, and ` REST=<url>` after it where `parts` have the HTTP API and it
    replies there. Call it in the main thread of a process that has no other threads.
    """
    try:
        raise_descriptor_limit()
        directory = absolute(data_dir or data_directory("--data-dir"))
        with making_private_files() as umask, owned(directory), ExitStack() as held:
            database = held.enter_context(closing(HeldPort(port, "--port")))
            parts, rest = _with_rest_port(_checked(parts or Parts()), held)
            asyncio.run(_Stack(Ports(database, rest), directory, parts, limits, umask).run())
    except (OetError, OSError) as error:
        show(f"oet up: {error}")
        return 1
    return 0


@dataclass(frozen=True)
class Ports:
    """What the stack holds, from before its start to after its end."""

    database: HeldPort
    rest: HeldPort | None


class _Stack:
    def __init__(self, ports: Ports, data_dir: Path, parts: Parts, limits: StackLimits, umask: int) -> None:
        self._ports = ports
        self._limits = limits
        self._data_dir = data_dir
        self._parts = parts
        self._scripts_umask = umask
        self._children: list[Child] = []
        self._readiness: Readiness | None = None

    async def run(self) -> None:
        """Start everything, keep it running until a signal, stop everything."""
        told_to_stop, told_twice = asyncio.Event(), asyncio.Event()

        def on_signal() -> None:
            (told_twice if told_to_stop.is_set() else told_to_stop).set()

        for number in _ending_signals():
            asyncio.get_running_loop().add_signal_handler(number, on_signal)
        serving = asyncio.create_task(self._serve())
        stopping = asyncio.create_task(told_to_stop.wait())
        try:
            await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
            serving.cancel()
            (outcome,) = await asyncio.gather(serving, return_exceptions=True)
            for child in reversed(self._children):
                await child.stop(self._limits.stop, told_twice)
            left = end_stack_processes(self._data_dir)
        if isinstance(outcome, Exception):
            raise outcome
        if left:
            named = ", ".join(f"{pid} ({name})" for pid, name in left.items())
            raise StackError(f"these processes were killed and are still there: {named}")

    async def _serve(self) -> None:
        progress = asyncio.create_task(self._report_progress())
        try:
            async with asyncio.timeout(self._limits.start):
                await self._start()
            await self._until_ready()
        except TimeoutError:
            raise StackError(
                f"not ready within {self._limits.start:g} s: {self._late()}; --timeout lets it take longer"
            ) from None
        finally:
            progress.cancel()
        line = f"ready TANGO_HOST={self._tango_host}{self._rest()}"
        print(line, flush=True)  # noqa: T201 - programs wait for it
        try:
            async with asyncio.TaskGroup() as group:
                for child in self._children:
                    group.create_task(self._keep_running(child))
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None

    async def _report_progress(self) -> None:
        """Print what a slow start waits for."""
        begin = asyncio.get_running_loop().time()
        while True:
            await asyncio.sleep(PROGRESS_SECS)
            took = asyncio.get_running_loop().time() - begin
            show(f"oet up: starting for {took:.0f} s of {self._limits.start:g}; it waits for {self._late()}")

    def _late(self) -> str:
        late = ", ".join(f"{child.name} (log {child.log})" for child in self._children if not child.serves)
        if late or self._readiness is None:
            return late or "the registration of the devices"
        return f"a controller that can start scripts: {self._readiness.why_not}"

    async def _until_ready(self) -> None:
        controller = next((child for child in self._children if child.name == CONTROLLER.name), None)
        if controller is not None:
            self._readiness = Readiness(self._data_dir / "logs")
            await self._readiness.wait(self._environment(), controller, self._limits.stop)

    async def _start(self) -> None:
        to_register = self._unregistered()
        await self._spawn(self._add("database", self._database_argv()))
        make_threads((HOST, self._ports.database.number))  # every client asks it first
        for file in to_register:
            await self._register(file)
        for wave in self._parts.waves:
            servers = [self._add(server.name, server.argv()) for server in wave]
            await asyncio.gather(*(self._spawn(server) for server in servers))

    def _rest(self) -> str:
        """Return where the HTTP API is; an empty text if it is not served, which does not stop the start."""
        if self._ports.rest is None:
            return ""
        if not self._ports.rest.is_served:
            (log,) = (child.log for child in self._children if child.name == REST_ADAPTER.name)
            show(f"the HTTP API is not served at {self._parts.rest_url} (log {log})")
            return ""
        return f" REST={self._parts.rest_url}"

    async def _register(self, file: Path) -> None:
        """Write the devices of `file` to the database."""
        argv = [*PYTHON, "dsconfig.json2tango", "--write", "--update", "--no-colors", str(file)]
        writer = Child(f"register/{file.name}", argv, self._data_dir / "logs")
        # json2tango leaves a copy of the former state in the temporary directory.
        with TemporaryDirectory(dir=self._data_dir) as copies:
            writer.spawn({**self._environment(), "TMPDIR": copies})
            try:
                code = await asyncio.shield(writer.exit)
            finally:
                await writer.stop(self._limits.stop)
        if code not in REGISTERED:
            raise StackError(f"the devices of {file} cannot be registered: {writer.obituary()}")
        shutil.copyfile(file, self._record(file))

    def _unregistered(self) -> list[Path]:
        """Find the device files that the database has not seen: what an operator changed stays changed."""
        files = self._parts.all_device_files(self._data_dir / "devices")
        if not (self._data_dir / "tango.db").exists():
            return files
        return [
            f for f in files if not self._record(f).exists() or not cmp(f, self._record(f), shallow=False)
        ]

    def _record(self, file: Path) -> Path:
        return self._data_dir / "registered" / file.name

    async def _keep_running(self, child: Child) -> NoReturn:
        """Restart `child` whenever it dies; raise StackError when that does not help."""
        clock = asyncio.get_running_loop().time
        pauses = self._limits.pauses
        failures = 0
        while True:
            started = clock()
            await asyncio.shield(child.exit)
            failures = 0 if clock() - started > self._limits.stable else failures
            if failures == len(pauses):
                raise StackError(
                    f"gave up after {failures} restarts, none of which lasted "
                    f"{self._limits.stable:g} s: {child.obituary()}"
                )
            pause = pauses[failures]
            failures += 1
            show(
                f"{child.obituary()}\n"
                f"{child.name} starts again in {pause:g} s (restart {failures} of {len(pauses)})"
            )
            await asyncio.sleep(pause)  # what made it die may need a moment to pass
            await self._try_again(child)

    async def _try_again(self, child: Child) -> None:
        with suppress(StackError):  # then it has ended, which the caller sees
            try:
                async with asyncio.timeout(self._limits.start):
                    await self._spawn(child)
            except TimeoutError:
                await child.kill()

    def _add(self, name: str, argv: list[str]) -> Child:
        rest = self._ports.rest
        handed = {REST_SOCKET: rest.fileno()} if rest is not None and name == REST_ADAPTER.name else {}
        child = Child(name, argv, self._data_dir / "logs", handed)
        if name == CONTROLLER.name:
            child.umask = self._scripts_umask  # what scripts write is for whom their user wants
        self._children.append(child)
        return child

    async def _spawn(self, child: Child) -> None:
        child.spawn(self._environment())
        await child.ready

    @property
    def _tango_host(self) -> str:
        return f"{HOST}:{self._ports.database.number}"

    def _database_argv(self) -> list[str]:
        port = str(self._ports.database.number)
        return [*PYTHON, "tango.databaseds.database", "--host", HOST, "--port", port, "2"]

    def _environment(self) -> dict[str, str]:
        """Describe this stack to its servers."""
        environment = {
            **defaults(self._data_dir),
            **os.environ,
            **self._parts.environment,
            STACK_MARK: str(self._data_dir),
            "PYTANGO_DATABASE_NAME": str(self._data_dir / "tango.db"),
            "TANGO_HOST": self._tango_host,
        }
        keep_idle_threads(environment)
        return environment


def _checked(parts: Parts) -> Parts:
    """Refuse what cannot be."""
    if parts.telescope is not None and not 0 < parts.telescope.time_scale < inf:
        raise StackError(f"--time-scale is a number above 0, not {parts.telescope.time_scale}")
    if parts.rest_port is not None and not rest_is_installed():
        raise StackError("the HTTP API needs the extra rest: pip install 'ska-oso-oet[rest]'")
    return parts


def _with_rest_port(parts: Parts, held: ExitStack) -> tuple[Parts, HeldPort | None]:
    """Choose the port of the HTTP API, if there is one."""
    if parts.rest_port is None:
        return parts, None
    port = held.enter_context(closing(HeldPort(parts.rest_port, "--rest-port")))
    return replace(parts, rest_port=port.number), port


def _ending_signals() -> tuple[signal.Signals, ...]:
    """List the signals that end a stack; one that was started by nohup outlives its terminal."""
    ending = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    return ending[:2] if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else ending
