"""The functions of a script are found when they are needed, and called, coroutines on one event loop."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final, Self

from ska_oso_oet.source.script_file import ScriptUnreadable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable
    from types import ModuleType

    from ska_oso_oet.procedure.domain import ProcedureInput

MAIN: Final = "main"
INIT: Final = "init"


class ScriptFunctions:
    """Calls what a script defines, and awaits what such a call returns, until it is closed.

    One event loop serves all calls, so that what an `async def init` has opened works in main. It stands
    still in between. To close it cancels what is left in it, as asyncio.run does. What it has on threads
    (asyncio.to_thread) is left to the end of the program, which waits for all threads, but not for ever.
    """

    def __init__(self, module: ModuleType) -> None:
        self._module = module
        self._loop: asyncio.Runner | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._loop is not None:
            # To close it would wait for the one that it has.
            self._loop.get_loop().set_default_executor(ThreadPoolExecutor(1))
            self._loop.close()

    def check(self) -> None:
        """Raise ScriptUnreadable where there is neither a main nor an init, which may make one."""
        if (self.find(MAIN), self.find(INIT)) == (None, None):
            self._require(MAIN)

    def init(self, arguments: ProcedureInput) -> None:
        """Call `init`, if there is one; by then there is a main, or ScriptUnreadable is raised."""
        if (init := self.find(INIT)) is not None:
            self._call(INIT, init, arguments.args, arguments.kwargs)
        self._require(MAIN)

    def call(self, name: str, arguments: ProcedureInput, offered: Iterable[str] = ()) -> None:
        """Call a function; keyword arguments that are `offered` are left out if it has no such parameters."""
        function = self._require(name)
        unwanted = {each for each in offered if not _accepts(function, each)}
        kwargs = {key: value for key, value in arguments.kwargs.items() if key not in unwanted}
        self._call(name, function, arguments.args, kwargs)

    def _require(self, name: str) -> Callable[..., object]:
        if (function := self.find(name)) is None:
            raise ScriptUnreadable(f"the script has no function {name}")
        return function

    def find(self, name: str) -> Callable[..., object] | None:
        """Look a function up; raises ScriptUnreadable for one that does nothing when it is called."""
        function: object = getattr(self._module, name, None)
        if not callable(function):
            return None
        if _is_generator(function):
            raise ScriptUnreadable(
                f"{name} is a generator, of which a call runs nothing: it must have no yield of its own"
            )
        return function

    def _call(
        self, name: str, function: Callable[..., object], args: list[Any], kwargs: dict[str, Any]
    ) -> None:
        result = function(*args, **kwargs)
        while inspect.isawaitable(result):
            result = self._wait_for(result)
        if inspect.isgenerator(result) or inspect.isasyncgen(result):
            raise ScriptUnreadable(f"{name} returned a generator, of which nothing was run")

    def _wait_for(self, awaitable: Awaitable[object]) -> object:
        async def wait() -> object:
            return await awaitable

        if self._loop is None:
            self._loop = asyncio.Runner()
        return self._loop.run(wait())


def _is_generator(function: Callable[..., object]) -> bool:
    of_class = inspect.getattr_static(type(function), "__call__", None)
    return any(
        inspect.isgeneratorfunction(each) or inspect.isasyncgenfunction(each) for each in (function, of_class)
    )


def _accepts(function: Callable[..., object], name: str) -> bool:
    """Return whether a function has a keyword argument; one that hides its parameters counts as having it."""
    with contextlib.suppress(TypeError, ValueError):
        parameters = inspect.signature(function).parameters
        known = parameters.get(name)
        named = known is not None and known.kind is not inspect.Parameter.POSITIONAL_ONLY
        return named or any(each.kind is inspect.Parameter.VAR_KEYWORD for each in parameters.values())
    return True
