"""Which variables are secret, and where their values are masked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from ska_oso_oet.event.journal import EventsQuery
from ska_oso_oet.mptools import ExitStatus
from ska_oso_oet.procedure.domain import CallArgs, Procedure, ProcedureState
from ska_oso_oet.procedure.output import MAX_LINE, OutputBuffer
from ska_oso_oet.procedure.record import Record
from ska_oso_oet.procedure.reports import Raised
from ska_oso_oet.procedure.secrecy import KNOWN, Secrets
from ska_oso_oet.procedure.verdict import judge, stacktrace_of
from ska_oso_oet.source.script import FileSystemScript
from tests.unit.test_procedure_stop import Service

if TYPE_CHECKING:
    from pathlib import Path

HARMLESS = {"PATH": "/bin", "TANGO_HOST": "here:10000", "OET_HISTORY_URL": "sqlite:////data/history.db"}


def test_what_is_known_to_be_secret() -> None:
    assert set(KNOWN) == {
        "ADMIN_POSTGRES_PASSWORD",
        "OET_REST_TOKEN_FILE",
        "PGPASSFILE",
        "PGPASSWORD",
        "POSTGRES_PASSWORD",
        "TANGOGQL_SECRET",
    }


@pytest.mark.parametrize("name", KNOWN)
def test_known_secrets_are_taken_out(name: str) -> None:
    environ = {**HARMLESS, name: "hunter2-hunter2"}
    assert Secrets(environ).kept_from(environ) == HARMLESS


@pytest.mark.parametrize("name", ["OET_HISTORY_URL", "OET_ODA_URL", "ODA_URL"])
def test_an_address_is_secret_if_it_has_a_password(name: str) -> None:
    environ = {**HARMLESS, name: "postgresql://oet:hunter%402-2@db/oet"}
    secrets = Secrets(environ)
    assert name not in secrets.kept_from(environ)
    assert secrets.masked("hunter@2-2 or hunter%402-2") == "*** or ***"
    assert name in Secrets({name: "postgresql://oet@db/oet"}).kept_from({name: ""})


def test_further_variables_are_named_by_patterns() -> None:
    environ = {**HARMLESS, "ARCHIVE_TOKEN": "swordfish", "SPECIAL": "open sesame"}
    secrets = Secrets(environ, ["*_TOKEN", "SPECIAL"])
    assert secrets.kept_from(environ) == HARMLESS
    assert secrets.masked("a swordfish said open sesame") == "a *** said ***"


def test_what_a_file_holds_is_the_secret(tmp_path: Path) -> None:
    token, passwords = tmp_path / "token", tmp_path / "pgpass"
    token.write_text("swordfish\n")
    passwords.write_text("db:5432:oet:user:hunter2-2\ndb:5432:*:user:hunter3-3\n")
    secrets = Secrets({"OET_REST_TOKEN_FILE": str(token), "PGPASSFILE": str(passwords)})
    assert secrets.masked(f"{token} swordfish hunter2-2 hunter3-3") == f"{token} *** *** ***"
    assert Secrets({"OET_REST_TOKEN_FILE": str(tmp_path / "none")}).masked("none") == "none"


def test_passwords_of_properties_are_masked() -> None:
    secrets = Secrets({}, urls=["postgresql://u:swordfish@h/d", "postgresql://h/d?password=hunter2-2", ""])
    assert secrets.masked("swordfish hunter2-2") == "*** ***"


def test_a_secret_that_contains_another_is_masked_whole() -> None:
    secrets = Secrets({"PGPASSWORD": "swordfish", "POSTGRES_PASSWORD": "swordfish-2"})
    assert secrets.masked("swordfish-2 swordfish") == "*** ***"


def test_a_word_that_is_too_short_for_a_secret_is_left() -> None:
    assert Secrets({"PGPASSWORD": "oet"}).masked("the oet") == "the oet"


def test_output_and_log_are_masked_however_they_come() -> None:
    buffer = OutputBuffer(Secrets({"PGPASSWORD": "swordfish"}))
    buffer.feed("stdout", b"it is swor", 0.0)
    buffer.feed("stdout", b"dfish\n", 0.0)
    buffer.log("INFO", "root: swordfish", 0.0)
    buffer.feed("stderr", b"no end: swordfish", 0.0)
    buffer.close_unfinished(0.8)
    assert [line.text for line in buffer.after(0)] == ["it is ***", "root: ***", "no end: ***"]


@pytest.mark.parametrize("secret", ["swordfish", "abcabcabd"])
@pytest.mark.parametrize("before", ["", "it is ", "swordfish", "abcabcabd"])
def test_no_pause_within_a_secret_shows_its_parts(before: str, secret: str) -> None:
    buffer = OutputBuffer(Secrets({"PGPASSWORD": secret}))
    for character in f"{before} {secret}":
        buffer.feed("stdout", character.encode(), 0.0)
        buffer.close_unfinished(0.8)
    buffer.feed("stdout", b"!\n", 1.0)
    assert "".join(line.text for line in buffer.after(0)) == f"{before} {secret}!".replace(secret, "***")


def test_a_long_line_is_not_cut_within_a_secret() -> None:
    buffer = OutputBuffer(Secrets({"PGPASSWORD": "swordfish"}))
    before = "x" * (MAX_LINE - 3)
    buffer.feed("stdout", f"{before}swordfish".encode(), 0.0)
    buffer.feed("stdout", b"!\n", 0.0)
    assert [line.text for line in buffer.after(0)] == [before, "***!"]


def test_what_looks_like_a_secret_for_a_while_is_told_in_the_end() -> None:
    buffer = OutputBuffer(Secrets({"PGPASSWORD": "swordfish"}))
    buffer.feed("stdout", b"two swords", 0.0)
    buffer.close_unfinished(0.8)
    buffer.feed("stderr", b"a sword", 1.0)
    buffer.close_unfinished(1.8)
    buffer.finish(2.0)
    assert [line.text for line in buffer.after(0)] == ["two sword", "a ", "s", "sword"]


def test_what_a_script_raises_is_masked() -> None:
    ending = Raised(message="ValueError: swordfish", stacktrace="...\nValueError: swordfish\n")
    exit_record = judge(ExitStatus(code=1), ending, ProcedureState.RUNNING)
    script = FileSystemScript(script_uri="file:///a.py")
    record = Record(Procedure(1, script, CallArgs(), created_at=1.0))
    mask = Secrets({"PGPASSWORD": "swordfish"}).masked
    record.end(exit_record, stacktrace_of(ending, exit_record), mask)
    assert record.procedure.exit == exit_record.model_copy(update={"message": "ValueError: ***"})
    assert record.procedure.stacktrace == "...\nValueError: ***\n"


def test_what_a_script_publishes_is_masked_however_deep() -> None:
    content: dict[str, Any] = {"message": "a swordfish", "swordfish": [1, {"deep": ["swordfish", None]}]}
    deepest: list[Any] = ["swordfish"]
    for _ in range(5_000):
        deepest = [deepest]
    content["deepest"] = deepest
    Secrets({"PGPASSWORD": "swordfish"}).mask(content)
    nested = content.pop("deepest")
    while isinstance(nested[0], list):
        nested = nested[0]
    assert nested == ["***"]
    assert content == {"message": "a ***", "***": [1, {"deep": ["***", None]}]}
    untouched = {"message": "swordfish"}
    Secrets({}).mask(untouched)
    assert untouched == {"message": "swordfish"}


def test_what_a_script_publishes_leaves_the_service_without_secrets() -> None:
    service = Service(secrets=Secrets({"PGPASSWORD": "swordfish"}))
    number = service.running()
    for topic in ("user.script.announce", "procedure.progress.percent"):
        data = {"msg": "swordfish", "message": "swordfish", "progress": 5}
        service.procedures.on_event(number, topic, data)
    [summary] = service.procedures.summarise([number])
    assert summary.progress is not None
    assert summary.progress.message == "***"
    told = service.journal.read(EventsQuery(since=0))
    assert told.count("***") == 4
    assert "swordfish" not in told
