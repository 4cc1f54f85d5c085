"""What the original's manual documents is there, or the page from-the-original.md says what to use."""

from __future__ import annotations

import importlib
import re
from typing import Any, Final

import pytest

from docs import tables
from ska_oso_oet.errors import InvalidArgument
from ska_oso_oet.procedure.application import PrepareProcessCommand, StartProcessCommand, StopProcessCommand
from ska_oso_oet.procedure.domain import CallArgs, FileSystemScript, GitScript, ProcedureInput
from ska_oso_oet.procedure.gitmanager import GitArgs

ORIGINAL: Final = tables.original()
THERE: Final = [f"{module}.{name}" for module, names in ORIGINAL["carried"].items() for name in names] + [
    row["name"] for row in ORIGINAL["changed"]
]
GONE: Final = [row["name"] for row in ORIGINAL["gone"]]
NAMED: Final = re.compile(r"`(ska_oso_oet(?:\.\w+)+)`")
TO_USE: Final = sorted(
    {
        name
        for rows in (ORIGINAL["changed"], ORIGINAL["gone"], ORIGINAL["answers"])
        for row in rows
        for key in ("use", "here", "why")
        for name in NAMED.findall(row.get(key, ""))
    }
)


def found(name: str) -> Any:
    """Import what a dotted name stands for; None where there is no such name."""
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        try:
            thing: Any = importlib.import_module(".".join(parts[:end]))
        except ModuleNotFoundError:
            continue
        for part in parts[end:]:
            thing = getattr(thing, part, None)
        return thing
    return None


@pytest.mark.parametrize("name", [*THERE, *TO_USE])
def test_what_the_page_names_is_there(name: str) -> None:
    assert found(name) is not None


@pytest.mark.parametrize("name", GONE)
def test_what_the_page_calls_gone_is_gone(name: str) -> None:
    assert found(name) is None


def test_every_name_has_one_place_on_the_page() -> None:
    names = THERE + GONE
    assert sorted(names) == sorted(set(names))


SCRIPT: Final = FileSystemScript("file:///x.py")
GIT_ARGS: Final = GitArgs("https://gitlab.com/ska-telescope/x", "main")


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (SCRIPT, FileSystemScript.parse({"script_uri": "file:///x.py"})),
        (GIT_ARGS, GitArgs.parse({"git_repo": "https://gitlab.com/ska-telescope/x", "git_branch": "main"})),
        (GitArgs(), GitArgs.parse({})),
        (
            GitScript("git://x.py", GIT_ARGS),
            GitScript.parse({"script_uri": "git://x.py", "git_args": GIT_ARGS}),
        ),
        (
            GitScript("git://x.py", GitArgs(), True),
            GitScript.parse({"script_uri": "git://x.py", "create_env": True}),
        ),
        (
            ProcedureInput(1, 2, subarray_id=42),
            ProcedureInput.parse('{"args": [1, 2], "kwargs": {"subarray_id": 42}}'),
        ),
        (ProcedureInput(args=1, self=2), ProcedureInput.parse({"kwargs": {"args": 1, "self": 2}})),
        (
            PrepareProcessCommand(script=SCRIPT, init_args=ProcedureInput(1)),
            PrepareProcessCommand.parse({"script": SCRIPT, "script_args": {"init": {"args": [1]}}}),
        ),
        (
            StartProcessCommand(process_uid=3, fn_name="main", run_args=ProcedureInput(1)),
            StartProcessCommand.parse({"procedure_id": 3, "script_args": {"run": {"args": [1]}}}),
        ),
        (StopProcessCommand(3, True), StopProcessCommand.parse({"procedure_id": 3, "run_abort": True})),
    ],
    ids=repr,
)
def test_what_is_written_in_python_is_what_is_read_from_json(written: Any, read: Any) -> None:
    assert written == read
    assert type(written).parse(written.to_json()) == written


def test_commands_have_the_original_attributes() -> None:
    prepare = PrepareProcessCommand(SCRIPT, ProcedureInput(1))
    start = StartProcessCommand(3, "main", ProcedureInput(x=1))
    assert (prepare.script, prepare.init_args) == (SCRIPT, ProcedureInput(1))
    assert (start.process_uid, start.run_args) == (3, ProcedureInput(x=1))
    assert (StopProcessCommand(3, False).process_uid, StopProcessCommand().run_abort) == (3, None)


def test_only_main_can_be_started() -> None:
    with pytest.raises(InvalidArgument, match="only main can be started, not 'init'"):
        StartProcessCommand(3, "init")


def test_arguments_are_shown_as_they_are_written() -> None:
    assert str(ProcedureInput(1, "a", subarray_id=42)) == "<ProcedureInput(1, 'a', subarray_id=42)>"
    given = CallArgs(init=ProcedureInput(1), main=ProcedureInput(2))
    assert (given["init"], given["main"], given["run"]) == (
        ProcedureInput(1),
        ProcedureInput(2),
        ProcedureInput(2),
    )


def test_a_script_that_is_none_is_named_in_the_documents_own_words() -> None:
    with pytest.raises(InvalidArgument, match=r"^script_uri: Field required$"):
        GitScript.parse({"git_args": {}})
