"""Which repository URLs are allowed, and what is shown of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ska_oso_oet.errors import InvalidArgument, OetError, ScriptNotAllowed
from ska_oso_oet.source.git_errors import GitError, RepositoryNotAllowed
from ska_oso_oet.source.git_url import AllowedRepositories, redacted

if TYPE_CHECKING:
    from pathlib import Path

SKA = "https://gitlab.com/ska-telescope"


@pytest.mark.parametrize(
    ("given", "contacted"),
    [
        (f"{SKA}/oso/scripts.git", f"{SKA}/oso/scripts.git"),
        (SKA, SKA),
        (f"{SKA}/oso/", f"{SKA}/oso"),
        ("HTTPS://GitLab.com:443/ska-telescope/oso", f"{SKA}/oso"),
        ("https://user:secret@gitlab.com/ska-telescope/oso", f"{SKA}/oso"),
        ("https://gitlab.com/ska%2Dtelescope/oso", f"{SKA}/oso"),
        ("http://gitlab.com/ska-telescope/oso/ska-oso-scripting", f"{SKA}/oso/ska-oso-scripting"),
        ("http://gitlab.com:80/ska-telescope/oso.git", f"{SKA}/oso.git"),
    ],
)
def test_what_is_below_a_prefix_is_allowed_in_canonical_form(given: str, contacted: str) -> None:
    assert AllowedRepositories([SKA]).check(given).url == contacted


@pytest.mark.parametrize(
    "url",
    [
        "https://gitlab.com.evil/ska-telescope/oso",
        "https://gitlab.com@evil.org/ska-telescope/oso",
        "https://gitlab.com%2fska-telescope@evil.org/ska-telescope",
        "https://evil.org/https://gitlab.com/ska-telescope",
        "https://evil.org#@gitlab.com/ska-telescope/oso",
        "https://evil.org?@gitlab.com/ska-telescope/oso",
        "https://evil.org\\@gitlab.com/ska-telescope/oso",
        "https://gitlab.com/ska-telescope-fake/oso",
        "https://gitlab.com/ska-telescope/../evil",
        "https://gitlab.com/ska-telescope/%2e%2e/evil",
        "https://gitlab.com/ska-telescope%2f..%2f..%2fevil",
        "https://gitlab.com/ska-telescope/./evil",
        "https://gitlab.com//ska-telescope/oso",
        "https://gitlab.com:8443/ska-telescope/oso",
        "https://gitlab.com:port/ska-telescope/oso",
        "https://gitlab.com/Ska-Telescope/oso",
        "https://[gitlab.com/ska-telescope/oso",
        "http://gitlab.com:8080/ska-telescope/oso",
        "http://gitlab.com/ska-telescope-fake/oso",
        "ssh://git@gitlab.com/ska-telescope/oso",
        "git@gitlab.com:ska-telescope/oso.git",
        "ext::sh -c id",
        "ext::sh",
        "ftp://gitlab.com/ska-telescope/oso",
        "--upload-pack=id",
        "-oProxyCommand=id",
        "file:///etc",
        "/etc",
        "relative/path",
        "https://gitlab.com/ska-telescope/oso\n",
        "https://gitlab.com/ska-telescope/o so",
        "https://gitlab.com/ska-tele\u0455cope/oso",
        "https:///ska-telescope/oso",
        "https://-gitlab.com/ska-telescope/oso",
        "",
    ],
)
def test_everything_else_is_refused(url: str) -> None:
    with pytest.raises(RepositoryNotAllowed, match="is not allowed"):
        AllowedRepositories([SKA]).check(url)


@pytest.mark.parametrize(
    ("given", "contacted"),
    [
        ("git@gitlab.com:ska-telescope/oso.git", "ssh://git@gitlab.com/ska-telescope/oso.git"),
        ("ssh://git@gitlab.com:22/ska-telescope/oso", "ssh://git@gitlab.com/ska-telescope/oso"),
        ("ssh://git@gitlab.com:2222/ska-telescope/oso", None),
        ("ssh://-oProxyCommand=id/ska-telescope/oso", None),
        ("ssh://-oProxyCommand=id@gitlab.com/ska-telescope/oso", None),
        ("ssh://git:secret@gitlab.com/ska-telescope/oso", None),
    ],
)
def test_ssh_needs_a_prefix_of_its_own(given: str, contacted: str | None) -> None:
    allowed = AllowedRepositories(["ssh://gitlab.com/ska-telescope"])
    if contacted is None:
        with pytest.raises(RepositoryNotAllowed):
            allowed.check(given)
    else:
        assert allowed.check(given).url == contacted


def test_a_prefix_that_is_one_repository_allows_it_with_and_without_git_at_the_end() -> None:
    allowed = AllowedRepositories([f"{SKA}/oso.git"])
    assert allowed.check(f"{SKA}/oso").url == f"{SKA}/oso"
    assert allowed.check(f"{SKA}/oso.git").url == f"{SKA}/oso.git"
    with pytest.raises(RepositoryNotAllowed):
        allowed.check(f"{SKA}/oso-evil.git")


def test_directories_are_allowed_by_their_real_path(tmp_path: Path) -> None:
    (tmp_path / "allowed" / "repo").mkdir(parents=True)
    (tmp_path / "other").mkdir()
    (tmp_path / "allowed" / "link").symlink_to(tmp_path / "other")
    allowed = AllowedRepositories([str(tmp_path / "allowed")])

    by_path, by_url = (allowed.check(f"{form}{tmp_path}/allowed/repo") for form in ("", "file://"))
    assert by_path == by_url
    assert by_path.url == f"file://{tmp_path}/allowed/repo"
    for escape in ("allowed/link", "allowed/../other", "other"):
        with pytest.raises(RepositoryNotAllowed):
            allowed.check(f"{tmp_path}/{escape}")
    with pytest.raises(RepositoryNotAllowed, match="no host"):
        allowed.check(f"file://elsewhere{tmp_path}/allowed/repo")


def test_nothing_is_allowed_without_prefixes() -> None:
    with pytest.raises(RepositoryNotAllowed, match="allowed: none"):
        AllowedRepositories([]).check(f"{SKA}/oso")


def test_a_wrong_prefix_is_refused_by_name_at_once() -> None:
    with pytest.raises(InvalidArgument, match="prefix gitlab\\.com/ska"):
        AllowedRepositories(["gitlab.com/ska"])


@pytest.mark.parametrize(
    "url",
    [
        "https://user:secret@evil.org/repo",
        "https://secret@evil.org/repo",
        "https://user:sec/ret-secret@evil.org/repo",
        "https://evil.org/repo?private_token=secret",
        "https://evil.org/repo#secret",
        "user:secret@evil.org:repo",
        "https://user:secret@evil.org:port/repo",
        "https://user:p@secret@evil.org/repo",
    ],
)
def test_secrets_are_in_no_message(url: str) -> None:
    with pytest.raises(RepositoryNotAllowed) as refusal:
        AllowedRepositories([SKA]).check(url)
    assert "secret" not in str(refusal.value)
    assert "evil.org" in str(refusal.value)
    assert "secret" not in redacted(url)


def test_secrets_are_not_in_the_representation_of_a_repository() -> None:
    repository = AllowedRepositories([SKA]).check("https://us%65r:sec%3Aret@gitlab.com/ska-telescope/oso")
    assert (repository.user, repository.password) == ("user", "sec:ret")
    assert "sec" not in repr(repository)
    assert "user" not in repr(repository)


def test_a_refusal_is_a_rejection_with_the_code_of_one() -> None:
    assert issubclass(RepositoryNotAllowed, GitError)
    assert issubclass(RepositoryNotAllowed, ScriptNotAllowed)
    assert RepositoryNotAllowed.code == ScriptNotAllowed.code != OetError.code


def test_what_is_allowed_by_http_is_contacted_by_http() -> None:
    allowed = AllowedRepositories(["http://git.test/ska", "https://git.test"])
    assert allowed.check("http://git.test/ska/oso").url == "http://git.test/ska/oso"
    assert allowed.check("http://git.test/other").url == "https://git.test/other"
