"""Repositories served over http by git's own `git http-backend`, and what a server can do to its clients."""

from __future__ import annotations

import base64
import os
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from ska_oso_oet.source.gitmanager import (
    GitArgs,
    GitManager,
    GitTimeout,
    RepositoryNotAllowed,
    RepositoryUnreachable,
    UnknownBranch,
    UnknownCommit,
    script_path,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DEADLINE = 60.0
AUTHOR = ["-c", "user.name=OET", "-c", "user.email=oet@example.org"]


class GitServer(ThreadingHTTPServer):
    """Serves the repositories below `root`; what it does beside that is set by the test."""

    def __init__(self, root: Path) -> None:
        super().__init__(("127.0.0.1", 0), GitHandler)
        self.root = root
        self.protocols = True  # let a client choose a newer protocol than the first one
        self.password: str | None = None
        self.redirect: str | None = None
        self.gate: threading.Event | None = None
        self.requests: list[tuple[str, str | None]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that was killed is no failure of the server."""


class GitHandler(BaseHTTPRequestHandler):
    """One request, by the Common Gateway Interface (RFC 3875)."""

    server: GitServer

    def do_GET(self) -> None:
        self.server.requests.append((self.path, self.headers["Authorization"]))
        if self.server.gate:
            self.server.gate.wait(DEADLINE)
        elif self.server.redirect:
            self._refuse(301, "Location", self.server.redirect + self.path)
        elif not self._authorised():
            self._refuse(401, "WWW-Authenticate", 'Basic realm="git"')
        else:
            self._serve()

    do_POST = do_GET  # noqa: N815 - the name that http.server looks for

    def log_message(self, *arguments: object) -> None:
        pass

    def _authorised(self) -> bool:
        expected = base64.b64encode(f"oet:{self.server.password}".encode()).decode()
        return self.server.password is None or self.headers["Authorization"] == f"Basic {expected}"

    def _refuse(self, status: int, header: str, value: str) -> None:
        self.send_response(status)
        self.send_header(header, value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _serve(self) -> None:
        path, _, query = self.path.partition("?")
        length = self.headers.get("Content-Length", "0")
        environment = {
            **os.environ,
            "GIT_PROJECT_ROOT": str(self.server.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "REQUEST_METHOD": self.command,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": length,
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", "") if self.server.protocols else "",
        }
        body = self.rfile.read(int(length))
        reply = subprocess.run(
            ["git", "http-backend"], env=environment, input=body, capture_output=True, check=True
        )
        head, _, content = reply.stdout.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().splitlines())
        self.send_response(int(headers.pop("Status", "200 OK").split()[0]))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)


class Project:
    """A repository of the server, with two commits on `main`."""

    def __init__(self, root: Path, name: str = "project.git") -> None:
        self.path = root / name
        self.path.mkdir(parents=True)
        self.git("init", "--quiet", "--initial-branch=main")
        self.first, self.second = (self.commit(version) for version in (1, 2))

    def git(self, *arguments: str) -> str:
        program = ["git", *AUTHOR, *arguments]
        return subprocess.run(
            program, cwd=self.path, capture_output=True, text=True, check=True
        ).stdout.strip()

    def commit(self, version: int) -> str:
        (self.path / "observe.py").write_text(f"VERSION = {version}\n")
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", f"Version {version}")
        return self.git("rev-parse", "HEAD")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[GitServer]:
    with GitServer(tmp_path / "srv") as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        if server.gate:
            server.gate.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path / "srv")


@pytest.fixture
def manager(tmp_path: Path, server: GitServer) -> GitManager:
    return GitManager(tmp_path / "clones", [server.url], timeout=DEADLINE)


def args(server: GitServer, branch: str = "main", commit: str | None = None, user: str = "") -> GitArgs:
    url = server.url.replace("://", f"://{user}")
    return GitArgs(git_repo=f"{url}/project.git", git_branch=branch, git_commit=commit)


def version(clone: Path) -> str:
    return script_path(clone, "git:///observe.py").read_text().strip()


def history(clone: Path) -> list[str]:
    program = ["git", "rev-list", "HEAD"]
    return subprocess.run(program, cwd=clone, capture_output=True, text=True, check=True).stdout.split()


def test_branches_and_commits_are_cloned_shallow(
    server: GitServer, project: Project, manager: GitManager
) -> None:
    newest = manager.clone(args(server))
    older = manager.clone(args(server, commit=project.first[:9]))
    assert (version(newest), version(older)) == ("VERSION = 2", "VERSION = 1")
    assert (history(newest), history(older)) == ([project.second], [project.first])


def test_a_server_that_gives_no_single_commits_gives_its_history(
    server: GitServer, project: Project, manager: GitManager
) -> None:
    server.protocols = False
    said: list[str] = []
    clone = manager.clone(args(server, commit=project.first), report=said.append)
    assert version(clone) == "VERSION = 1"
    assert any(line.startswith("no shallow clone") for line in said)
    assert manager.resolve(args(server)) == project.second


def test_each_failure_says_which(server: GitServer, project: Project, manager: GitManager) -> None:
    with pytest.raises(UnknownBranch, match="no branch or tag 'nowhere'; its default branch is 'main'"):
        manager.clone(args(server, "nowhere"))
    with pytest.raises(UnknownCommit, match="f" * 40):
        manager.clone(args(server, commit="f" * 40))
    with pytest.raises(RepositoryUnreachable, match=r"missing\.git.* not found"):
        manager.clone(GitArgs(git_repo=f"{server.url}/missing.git"))
    with pytest.raises(RepositoryNotAllowed):
        manager.clone(GitArgs(git_repo=f"{server.url.replace('127.0.0.1', 'localhost')}/project.git"))


def test_a_server_that_is_down_is_a_network_failure(tmp_path: Path) -> None:
    with GitServer(tmp_path) as stopped:
        url = stopped.url
    manager = GitManager(tmp_path / "clones", [url], timeout=DEADLINE)
    with pytest.raises(RepositoryUnreachable, match=f"{url}/project.git cannot be read: .*connect"):
        manager.resolve(GitArgs(git_repo=f"{url}/project.git"))


def test_a_server_that_does_not_answer_is_given_up_and_nothing_keeps_running(
    tmp_path: Path, server: GitServer
) -> None:
    server.gate = threading.Event()
    manager = GitManager(tmp_path / "clones", [server.url], timeout=0.5)
    with pytest.raises(GitTimeout, match=r"ls-remote of http.* took more than 0\.5 s"):
        manager.clone(args(server))
    assert server.requests


def test_a_password_opens_a_repository_and_shows_nowhere(
    server: GitServer, project: Project, manager: GitManager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, git = tmp_path / "arguments.log", tmp_path / "bin" / "git"
    real = subprocess.run(["sh", "-c", "command -v git"], capture_output=True, text=True, check=True)
    git.parent.mkdir()
    git.write_text(f'#!/bin/sh\necho "$@" >> {log}\nexec {real.stdout.strip()} "$@"\n')
    git.chmod(0o755)
    monkeypatch.setenv("PATH", f"{git.parent}:{os.environ['PATH']}")
    server.password = "tele&scope"
    said: list[str] = []
    clone = manager.clone(args(server, user="oet:tele%26scope@"), report=said.append)
    assert version(clone) == "VERSION = 2"
    kept = [path.read_bytes() for path in (tmp_path / "clones").rglob("*") if path.is_file()]
    secret = base64.b64encode(b"oet:tele&scope")
    assert b"ls-remote" in log.read_bytes()
    for text in (*kept, log.read_bytes(), "\n".join(said).encode()):
        assert b"tele" not in text
        assert secret not in text


def test_a_wrong_password_is_refused_without_showing_it(
    server: GitServer, project: Project, manager: GitManager
) -> None:
    server.password = "telescope"
    for user in ("oet:wrong-one@", ""):
        with pytest.raises(
            RepositoryUnreachable, match=r"could not read Username|Authentication failed"
        ) as failure:
            manager.clone(args(server, user=user))
        assert "wrong-one" not in str(failure.value)


def test_a_redirect_does_not_lead_out_of_the_allowed_repositories(
    server: GitServer, project: Project, manager: GitManager, tmp_path: Path
) -> None:
    with GitServer(tmp_path / "elsewhere") as elsewhere:
        thread = threading.Thread(target=elsewhere.serve_forever)
        thread.start()
        server.redirect = elsewhere.url
        try:
            with pytest.raises(RepositoryUnreachable, match="301"):
                manager.clone(args(server, user="oet:telescope@"))
        finally:
            elsewhere.shutdown()
            thread.join()
    assert elsewhere.requests == []
