"""How the functions of a script are found and called."""

from __future__ import annotations

import asyncio
import functools
import threading
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

from ska_oso_oet.procedure.domain import ProcedureInput
from ska_oso_oet.source.script_file import ScriptUnreadable
from ska_oso_oet.worker.functions import ScriptFunctions

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

NOTHING = ProcedureInput()
DEADLINE = 60.0


def script(**functions: object) -> ModuleType:
    module = ModuleType("observing_script")
    module.__dict__.update(functions)
    return module


def run(**functions: object) -> None:
    """Do what a worker does with a script; its init makes main of what is `making`."""
    module = script(**functions)
    if "making" in functions:
        module.__dict__["init"] = functools.partial(module.__dict__.update, main=functions["making"])
    with ScriptFunctions(module) as called:
        called.check()
        called.init(NOTHING)
        called.call("main", NOTHING)


def refusal(**functions: object) -> str:
    with pytest.raises(ScriptUnreadable) as info:
        run(**functions)
    return str(info.value)


# ------------------------------------------------------------ coroutines


def test_what_a_loop_has_on_threads_is_left_to_the_end_of_the_program() -> None:
    begun, released = threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        assert released.wait(DEADLINE)

    async def main() -> None:
        asyncio.get_running_loop().run_in_executor(None, work)
        assert begun.wait(DEADLINE)

    run(main=main)
    assert not released.is_set()
    released.set()


def test_what_is_left_in_a_loop_may_use_threads_while_it_cleans_up() -> None:
    said: list[str] = []

    async def task() -> None:
        try:
            await asyncio.sleep(DEADLINE)
        finally:
            await asyncio.to_thread(said.append, "cleaned")

    async def main() -> None:
        said.append(asyncio.ensure_future(task()).get_name())
        await asyncio.to_thread(said.append, "main")

    run(main=main)
    assert said[1:] == ["main", "cleaned"]


class Recorder:
    def __init__(self) -> None:
        self.said: list[str] = []

    async def coroutine(self) -> str:
        self.said.append("began")
        await asyncio.sleep(0)
        self.said.append("ended")
        return "result"

    async def __call__(self) -> None:
        await self.coroutine()


def decorated(function: Callable[[], Any]) -> Callable[[], Any]:
    def call() -> Any:
        return function()

    return call


def doubly(function: Callable[[], Any]) -> Callable[[], Any]:
    async def call() -> Any:
        return function()

    return call


class Later:
    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder

    def __await__(self) -> Iterator[Any]:
        return self.recorder.coroutine().__await__()


FORMS: dict[str, Callable[[Recorder], object]] = {
    "async def": lambda recorder: recorder.coroutine,
    "partial": lambda recorder: functools.partial(recorder.coroutine),
    "decorated": lambda recorder: decorated(recorder.coroutine),
    "a coroutine that returns one": lambda recorder: doubly(recorder.coroutine),
    "a class with __call__": lambda recorder: recorder,
    "an awaitable": lambda recorder: functools.partial(Later, recorder),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["init", "main"])
def test_coroutines_are_run(form: str, name: str) -> None:
    recorder = Recorder()
    run(**{"main": lambda: None, name: FORMS[form](recorder)})
    assert recorder.said == ["began", "ended"]


def test_init_and_main_share_a_loop_so_that_what_init_opens_works_in_main() -> None:
    opened: list[asyncio.Future[str]] = []
    heard: list[str] = []

    async def serve() -> None:
        await asyncio.sleep(0)
        opened[0].set_result("served")

    async def init() -> None:
        opened.append(asyncio.get_running_loop().create_future())
        asyncio.get_running_loop().create_task(serve())

    async def main() -> None:
        heard.append(await opened[0])

    run(init=init, main=main)
    assert heard == ["served"]


def test_tasks_that_main_leaves_are_cancelled_and_clean_up() -> None:
    said: list[str] = []

    async def background() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            said.append("cleaned up")

    async def main() -> None:
        task = asyncio.create_task(background())
        await asyncio.sleep(0)
        del task

    run(main=main)
    assert said == ["cleaned up"]


def test_a_plain_main_may_run_a_loop_of_its_own() -> None:
    recorder = Recorder()
    run(init=recorder.coroutine, main=lambda: asyncio.run(recorder.coroutine()) and None)
    assert recorder.said == ["began", "ended"] * 2


def test_what_a_coroutine_raises_is_raised() -> None:
    async def main() -> None:
        raise ValueError("no beam")

    with pytest.raises(ValueError, match="no beam"):
        run(main=main)


# ------------------------------------------------------------ generators


def generator() -> Iterator[None]:
    yield


async def async_generator() -> AsyncIterator[None]:
    yield


class Generating:
    def __call__(self) -> Iterator[None]:
        yield


@pytest.mark.parametrize("name", ["init", "main"])
@pytest.mark.parametrize(
    "function",
    [generator, async_generator, functools.partial(generator), Generating(), Generating().__call__],
)
def test_a_generator_is_refused_before_anything_is_called(name: str, function: object) -> None:
    called: list[str] = []
    functions = {"init": lambda: called.append("init"), "main": lambda: called.append("main"), name: function}
    assert refusal(**functions).startswith(f"{name} is a generator, of which a call runs")
    assert called == []


@pytest.mark.parametrize("function", [decorated(generator), decorated(async_generator), doubly(generator)])
def test_a_generator_that_main_returns_is_refused(function: object) -> None:
    assert refusal(main=function) == "main returned a generator, of which nothing was run"


def test_a_generator_that_init_makes_of_main_is_refused() -> None:
    assert refusal(making=generator).startswith("main is a generator")


# ------------------------------------------------------------ finding them


def test_a_script_without_main_and_init_is_refused_when_it_is_loaded() -> None:
    with pytest.raises(ScriptUnreadable, match="the script has no function main"):
        ScriptFunctions(script(main=3)).check()


def test_main_is_looked_for_once_init_has_been_called() -> None:
    recorder = Recorder()
    run(making=recorder)
    assert recorder.said == ["began", "ended"]
    assert refusal(init=lambda: None) == "the script has no function main"


# ------------------------------------------------------------ what is offered


def takes_one(sb_json: str) -> None:
    HEARD.append({"sb_json": sb_json})


def takes_both(sb_json: str, sbi_id: str) -> None:
    HEARD.append({"sb_json": sb_json, "sbi_id": sbi_id})


def takes_all(**kwargs: str) -> None:
    HEARD.append(kwargs)


HEARD: list[dict[str, str]] = []
ONE, BOTH = {"sb_json": "x"}, {"sb_json": "x", "sbi_id": "y"}


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (takes_one, ONE),
        (takes_both, BOTH),
        (takes_all, BOTH),
        (functools.partial(takes_one), ONE),
        (functools.partial(takes_both), BOTH),
        (functools.wraps(takes_one)(functools.partial(takes_one)), ONE),
    ],
)
def test_an_argument_that_is_offered_goes_to_a_main_that_takes_it(
    function: object, expected: dict[str, str]
) -> None:
    HEARD.clear()
    with ScriptFunctions(script(main=function)) as functions:
        functions.call("main", ProcedureInput(sb_json="x", sbi_id="y"), offered=["sbi_id"])
    assert [expected] == HEARD


def test_an_argument_that_was_given_is_not_left_out() -> None:
    with ScriptFunctions(script(main=takes_one)) as functions, pytest.raises(TypeError, match="sbi_id"):
        functions.call("main", ProcedureInput(sb_json="x", sbi_id="y"))
