"""From a script to its end: states, arguments, and what is said of a script that cannot go on."""

from __future__ import annotations

import itertools
import json
import time
from typing import TYPE_CHECKING

import pytest

from ska_oso_oet.errors import NotReady, ProcedureNotFound, Rejected, ScriptNotAllowed
from ska_oso_oet.event.journal import EventsQuery
from ska_oso_oet.procedure.commands import PrepareProcessCommand, StartProcessCommand, StopProcessCommand
from ska_oso_oet.procedure.domain import ProcedureInput
from tests.engine.procedure_bench import (
    PRELUDE_LINES,
    Bench,
    S,
    how,
    only_user_frames,
    states_of,
    user_frames,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

UP_TO_READY = [S.CREATING, S.IDLE, S.LOADING, S.IDLE, S.INITIALISING, S.READY]
NOOP = "def main(): pass"


# ------------------------------------------------------------ what goes well


def test_every_state_is_entered_in_order_and_has_its_time(bench: Bench) -> None:
    before = time.time()
    summary = bench.run("def init(): pass\ndef main(): pass")
    assert states_of(summary) == [*UP_TO_READY, S.RUNNING, S.COMPLETE]
    times = [moment for _, moment in summary.history.process_states]
    assert times == sorted(times)
    assert before <= times[0] <= times[-1] <= time.time()
    assert how(summary).cause == "returned"
    assert (how(summary).code, how(summary).signal) == (0, None)


def test_every_state_has_its_events(bench: Bench) -> None:
    first = bench.journal.last_seq
    pid = bench.run("def init(): pass\ndef main(): pass").id
    events = json.loads(bench.journal.read(EventsQuery(since=first)))["events"]
    changes = [e["data"]["new_state"] for e in events if e["topic"] == "procedure.lifecycle.statechange"]
    assert changes == [*UP_TO_READY, "RUNNING", "COMPLETE"]
    others = [e for e in events if e["topic"].startswith("procedure.lifecycle.") and "result" in e["data"]]
    assert [(e["topic"].split(".")[-1], e["data"]["result"]["state"]) for e in others] == [
        ("created", "IDLE"),
        ("started", "INITIALISING"),
        ("ready", "READY"),
        ("started", "RUNNING"),
        ("complete", "COMPLETE"),
    ]
    assert {e["data"]["result"]["id"] for e in others} == {pid}


def test_init_and_main_get_their_arguments(bench: Bench) -> None:
    source = """
        def init(*args, **kwargs): tell("init", args=list(args), kwargs=kwargs)
        def main(*args, **kwargs): tell("main", args=list(args), kwargs=kwargs)
    """
    pid = bench.ready(source, 1, "two", [3.5, None], subarray_id=4, nested={"a": [True]})
    bench.start(pid, "é\u2713", scan_duration=14.0)
    bench.ended(pid)
    expected = {"args": [1, "two", [3.5, None]], "kwargs": {"subarray_id": 4, "nested": {"a": [True]}}}
    assert bench.told(pid, "init") == [expected]
    assert bench.told(pid, "main") == [{"args": ["é\u2713"], "kwargs": {"scan_duration": 14.0}}]


def test_main_gets_the_arguments_of_the_creation_unless_the_start_brings_others(bench: Bench) -> None:
    uri = bench.script('def main(x): tell("main", x=x)').as_uri()
    given, replaced = (bench.load(uri, main=ProcedureInput(1)) for _ in range(2))
    bench.wait(given, S.READY)
    bench.wait(replaced, S.READY)
    bench.start(given)
    assert bench.ended(given).state is S.COMPLETE
    summary = bench.start(replaced, 2)
    assert summary.script_args.main == ProcedureInput(2)
    assert bench.ended(replaced).state is S.COMPLETE
    assert bench.told(given, "main") == [{"x": 1}]
    assert bench.told(replaced, "main") == [{"x": 2}]


def test_init_is_optional_and_the_states_are_the_same(bench: Bench) -> None:
    assert states_of(bench.run(NOOP)) == [*UP_TO_READY, S.RUNNING, S.COMPLETE]


def test_a_script_finds_modules_beside_it_but_hides_none(bench: Bench) -> None:
    (bench.folder / "beside.py").write_text("VALUE = 42")
    (bench.folder / "json.py").write_text("raise RuntimeError('the wrong json')")
    pid = bench.run("import json, beside\ndef main(): tell('value', value=beside.VALUE)").id
    assert bench.told(pid, "value") == [{"value": 42}]


def test_a_script_that_was_changed_is_loaded_as_it_is_now(bench: Bench) -> None:
    path = bench.script("def main(): tell('version', n=1)")
    path_again = bench.script("def main(): tell('version', n=2)")
    pids = []
    for text in (path.read_text(), path_again.read_text()):
        path.write_text(text)
        pid = bench.load(path.as_uri())
        bench.wait(pid, S.READY)
        bench.start(pid)
        bench.ended(pid)
        pids.append(pid)
    assert [bench.told(pid, "version") for pid in pids] == [[{"n": 1}], [{"n": 2}]]
    assert not list(bench.folder.glob("__pycache__"))


def test_a_script_has_no_input(bench: Bench) -> None:
    summary = bench.run("def main(): input('who are you? ')")
    assert summary.state is S.FAILED
    assert "EOFError" in str(how(summary).message)


def test_an_embedded_script_runs_and_its_traceback_shows_its_lines(bench: Bench) -> None:
    source = "def main():\n    wrong = 1\n    return wrong / 0  # here\n"
    script = {"script_type": "embedded", "script_source": source, "script_name": "quick look"}
    pid = bench.procedures.prepare(PrepareProcessCommand.parse({"script": script})).id
    bench.wait(pid, S.READY)
    bench.start(pid)
    summary = bench.ended(pid)
    assert summary.state is S.FAILED
    assert 'File "<quick look>", line 3, in main' in str(summary.history.stacktrace)
    assert "return wrong / 0  # here" in str(summary.history.stacktrace)


# ------------------------------------------------------------ scripts that cannot be loaded


def failed_load(bench: Bench, uri: str) -> str:
    summary = bench.ended(bench.load(uri))
    assert summary.state is S.FAILED
    assert states_of(summary) == [S.CREATING, S.IDLE, S.LOADING, S.FAILED]
    return str(how(summary).message)


def test_a_missing_file(bench: Bench) -> None:
    path = bench.folder / "missing.py"
    with pytest.raises(Rejected, match=f"^there is no script {path}$"):
        bench.load(path.as_uri())


def test_a_directory(bench: Bench) -> None:
    assert failed_load(bench, bench.folder.as_uri()) == f"{bench.folder} is no file"


def test_no_main(bench: Bench) -> None:
    path = bench.script("x = 1")
    assert failed_load(bench, path.as_uri()) == "the script has no function main"


def test_an_init_that_makes_no_main(bench: Bench) -> None:
    path = bench.script("def init(): pass")
    summary = bench.ended(bench.load(path.as_uri()))
    assert states_of(summary)[-2:] == [S.INITIALISING, S.FAILED]
    assert how(summary).message == "the script has no function main"


def test_a_main_that_init_makes(bench: Bench) -> None:
    summary = bench.run(
        """
        import functools

        def init(subarray_id):
            global main
            main = functools.partial(_main, subarray_id)

        def _main(subarray_id):
            tell("main", subarray_id=subarray_id)
    """,
        subarray_id=3,
    )
    assert summary.state is S.COMPLETE
    assert bench.told(summary.id, "main") == [{"subarray_id": 3}]


def test_a_main_that_is_no_function(bench: Bench) -> None:
    assert failed_load(bench, bench.script("main = 3").as_uri()).endswith("has no function main")


def test_a_file_that_is_not_text(bench: Bench) -> None:
    path = bench.folder / "script_binary.py"
    path.write_bytes(b"\x80\x81\x00\xff" * 100)
    assert "SyntaxError" in failed_load(bench, path.as_uri())


def test_a_file_that_may_not_be_read(bench: Bench) -> None:
    # A script that opens what it may not read fails alike for every user, root included.
    assert "PermissionError" in failed_load(
        bench, bench.script("raise PermissionError(13, 'Permission denied')").as_uri()
    )


def test_a_script_outside_the_roots_is_refused_and_leaves_no_trace(
    new_bench: Callable[..., Bench], tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    bench = new_bench(script_roots=str(tmp_path))
    before = bench.journal.last_seq
    outside = tmp_path_factory.mktemp("outside") / "script.py"
    outside.write_text(NOOP)
    (tmp_path / "link.py").symlink_to(outside)
    for uri in (outside.as_uri(), f"file://{tmp_path}/../../{outside}", (tmp_path / "link.py").as_uri()):
        with pytest.raises(ScriptNotAllowed, match="ScriptRoots"):
            bench.load(uri)
    assert bench.journal.last_seq == before


# ------------------------------------------------------------ scripts that raise


def test_a_syntax_error_names_the_users_file_and_line(bench: Bench) -> None:
    path = bench.script("x = 1\ndef main(:\n    pass\n")
    summary = bench.ended(bench.load(path.as_uri()))
    assert summary.state is S.FAILED
    assert f'File "{path}", line {PRELUDE_LINES + 2}' in str(summary.history.stacktrace)
    assert str(how(summary).message).startswith("SyntaxError")
    assert how(summary).cause == "raised"
    assert only_user_frames(summary.history.stacktrace, bench.folder)


def test_an_import_error(bench: Bench) -> None:
    summary = bench.ended(bench.create("import no_such_module\n" + NOOP))
    assert summary.state is S.FAILED
    assert how(summary).message == "ModuleNotFoundError: No module named 'no_such_module'"
    assert only_user_frames(summary.history.stacktrace, bench.folder)


def test_an_exception_at_the_top_level(bench: Bench) -> None:
    summary = bench.ended(bench.create("raise ValueError('at the top')\n" + NOOP))
    assert states_of(summary)[-2:] == [S.LOADING, S.FAILED]
    assert how(summary).message == "ValueError: at the top"
    assert only_user_frames(summary.history.stacktrace, bench.folder)


@pytest.mark.parametrize("function", ["init", "main"])
def test_an_exception_shows_the_users_frames_only(bench: Bench, function: str) -> None:
    source = f"""
        def deeper(): raise ValueError("the cause\\nof it")
        def {function}(): deeper()
        {"" if function == "main" else "def main(): pass"}
    """
    summary = bench.run(source)
    assert summary.state is S.FAILED
    assert states_of(summary)[-2] is (S.RUNNING if function == "main" else S.INITIALISING)
    assert (how(summary).cause, how(summary).message) == ("raised", "ValueError: the cause")
    trace = str(summary.history.stacktrace)
    assert only_user_frames(trace, bench.folder)
    assert [line.rpartition(" in ")[2] for line in user_frames(trace)] == [function, "deeper"]


@pytest.mark.parametrize("function", ["init", "main"])
def test_wrong_arguments(bench: Bench, function: str) -> None:
    path = bench.script("def init(a=0): pass\ndef main(a=0): pass")
    pid = bench.load(path.as_uri(), **{function: ProcedureInput(b=1)})
    if bench.wait(pid, S.READY, S.FAILED).state is S.READY:
        bench.start(pid)
    summary = bench.ended(pid)
    assert summary.state is S.FAILED
    assert how(summary).message == f"TypeError: {function}() got an unexpected keyword argument 'b'"


def test_chained_exceptions_are_told_whole(bench: Bench) -> None:
    summary = bench.run("""
        def main():
            try:
                {}["first"]
            except KeyError as error:
                raise RuntimeError("second") from error
    """)
    trace = str(summary.history.stacktrace)
    assert how(summary).message == "RuntimeError: second"
    assert (
        trace.index("KeyError: 'first'") < trace.index("direct cause") < trace.index("RuntimeError: second")
    )
    assert only_user_frames(trace, bench.folder)


def test_an_exception_group_is_told_whole(bench: Bench) -> None:
    summary = bench.run("""
        def main():
            raise ExceptionGroup("several", [ValueError("one"), KeyError("two")])
    """)
    assert all(word in str(summary.history.stacktrace) for word in ("several", "one", "two"))


@pytest.mark.parametrize(
    "statement",
    [
        "raise ValueError('\\udcff')",
        "open('/no/such/\\udcff')",
        "raise type('Bad', (Exception,), {'__str__': lambda self: 1 / 0})()",
        "raise ValueError('x' * 10_000_000)",
        "raise BaseException('of the base')",
        "raise GeneratorExit",
        "def f(): f()\n    f()",
    ],
)
def test_odd_exceptions_are_told(bench: Bench, statement: str) -> None:
    summary = bench.run(f"def main():\n    {statement}")
    assert summary.state is S.FAILED
    assert how(summary).cause == "raised"
    assert summary.history.stacktrace
    assert summary.to_json().isascii()
    summary.to_json().encode().decode("unicode_escape").encode()  # whoever reads it can print it
    assert len(summary.to_json()) < 150_000


@pytest.mark.parametrize(
    ("argument", "code", "message"),
    [
        ("", 0, "sys.exit(0)"),
        ("0", 0, "sys.exit(0)"),
        ("3", 3, "sys.exit(3)"),
        ("'no beam'", 1, "sys.exit: no beam"),
    ],
)
@pytest.mark.parametrize("place", ["top", "init", "main"])
def test_sys_exit(bench: Bench, place: str, argument: str, code: int, message: str) -> None:
    call = f"sys.exit({argument})"
    source = {
        "top": f"{call}\ndef main(): pass",
        "init": f"def init(): {call}\ndef main(): pass",
        "main": f"def main(): {call}",
    }[place]
    summary = bench.run(source)
    well = place == "main" and code == 0
    assert summary.state is (S.COMPLETE if well else S.FAILED)
    assert how(summary).cause == ("returned" if well else "exit_code")
    assert how(summary).code == (code if well else code or None)
    assert how(summary).message == f"the script called {message}"
    assert summary.history.stacktrace is None


# ------------------------------------------------------------ requests that cannot be done


def test_an_unknown_id(bench: Bench) -> None:
    for request in (
        lambda: bench.start(99_999),
        lambda: bench.ask_stop(99_999),
        lambda: bench.summary(99_999),
        lambda: bench.procedures.output(99_999, 0),
    ):
        with pytest.raises(ProcedureNotFound, match="99999"):
            request()


def test_start_before_ready(bench: Bench) -> None:
    pid = bench.create("def init():\n    tell('here')\n    forever()\n" + NOOP)
    bench.heard(pid, "here")
    with pytest.raises(NotReady, match=f"procedure {pid} is INITIALISING, not READY"):
        bench.start(pid)


def test_start_twice(bench: Bench) -> None:
    pid = bench.running("def main():\n    tell('here')\n    forever()")
    with pytest.raises(NotReady, match=f"procedure {pid} is RUNNING, not READY"):
        bench.start(pid)
    assert bench.summary(pid).state is S.RUNNING


def test_start_after_the_end(bench: Bench) -> None:
    pid = bench.run(NOOP).id
    with pytest.raises(NotReady, match=f"procedure {pid} is COMPLETE, not READY"):
        bench.start(pid)


def test_stop_after_the_end(bench: Bench) -> None:
    before = bench.run(NOOP)
    with pytest.raises(NotReady, match=f"procedure {before.id} has ended already: it is COMPLETE"):
        bench.ask_stop(before.id)
    assert bench.summary(before.id) == before


def test_without_an_id_the_one_created_last_starts_and_the_running_one_stops(bench: Bench) -> None:
    start, stop = StartProcessCommand.parse("{}"), StopProcessCommand.parse('{"run_abort": false}')
    with pytest.raises(NotReady):
        bench.procedures.start(start)
    with pytest.raises(Rejected, match="no procedure is RUNNING"):
        bench.procedures.stop(stop)
    source = "def init(subarray_id): pass\ndef main():\n    tell('here')\n    forever()"
    first, second = bench.ready(source, subarray_id=1), bench.ready(source, subarray_id=2)
    assert bench.procedures.start(start).id == second
    bench.heard(second, "here")
    with pytest.raises(NotReady, match=f"procedure {second}, which was created last, is RUNNING"):
        bench.procedures.start(start)
    bench.start(first)
    with pytest.raises(Rejected, match=f"procedures {first} and {second} are RUNNING"):
        bench.procedures.stop(stop)
    bench.stop(first)
    assert [summary.id for summary in bench.procedures.stop(stop)] == [second]
    assert bench.ended(second).state is S.STOPPED


def test_the_newest_ended_procedures_are_remembered_and_all_live_ones(
    new_bench: Callable[..., Bench],
) -> None:
    bench = new_bench(list_length=10)
    live = bench.ready(NOOP)
    ended = [bench.stop(bench.ready(NOOP)).id for _ in range(12)]
    assert [summary.id for summary in bench.procedures.summarise()] == [live, *ended[2:]]
    with pytest.raises(ProcedureNotFound):
        bench.summary(ended[0])
    with pytest.raises(ProcedureNotFound):
        bench.procedures.output(ended[0], 0)


def test_a_history_of_none(new_bench: Callable[..., Bench]) -> None:
    bench = new_bench(list_length=0)
    assert bench.run(NOOP).state is S.COMPLETE
    assert bench.procedures.summarise() == []
    assert bench.run(NOOP).state is S.COMPLETE


def test_the_engine_goes_on_after_everything_that_failed(bench: Bench) -> None:
    sources = ["1/0\n" + NOOP, "def main(): 1/0", "import nothing_at_all", NOOP]
    ends = [bench.run(source).state for source in itertools.chain(sources, sources)]
    assert ends == [S.FAILED, S.FAILED, S.FAILED, S.COMPLETE] * 2
