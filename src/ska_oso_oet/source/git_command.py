"""This module runs git so that it asks nobody, follows nothing, shows no secret and ends in time."""

from __future__ import annotations

import base64
import os
import shlex
import subprocess
from typing import TYPE_CHECKING, cast

# Without git the controller still runs scripts from files; the failure belongs to the first git script.
os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")

from git.cmd import Git
from git.exc import GitCommandNotFound

from ska_oso_oet.source.git_errors import GitError, GitTimeout
from ska_oso_oet.source.tool_process import kill_tree

if TYPE_CHECKING:
    from pathlib import Path

    from ska_oso_oet.source.git_url import Repository

_SETTINGS = {
    "credential.helper": "",
    "core.hooksPath": os.devnull,
    "core.autocrlf": "false",
    "gc.auto": "0",
    "http.followRedirects": "false",  # a redirect would leave the allowed repositories, with our credentials
    "http.lowSpeedLimit": "1000",  # bytes a second
    "http.lowSpeedTime": "30",  # seconds
    "init.defaultBranch": "none",
}


_CONFIG_SECS = 10.0
_CONTACTING = frozenset({"fetch", "ls-remote"})


class GitCommand:
    """Runs git in `directory`, allowed to contact `repository` only by its own protocol.

    Of the configuration of the machine and of the user only safe.directory is read: it names the repositories
    of others on this machine that may be used. Proxy and certificates come from the environment
    (`https_proxy`, `GIT_SSL_CAINFO`), ssh keys from ssh's own configuration.
    """

    def __init__(self, directory: Path, repository: Repository, timeout: float) -> None:
        self._git = Git(directory)
        self._git.update_environment(**_environment(directory, repository))
        self._contact = _upload_pack() if repository.scheme == "file" else []
        self._timeout = timeout
        self._repository = repository

    def __call__(self, *arguments: str) -> str:
        """Run one command and return what it prints; raise GitError with git's own reason."""
        process = self._start(arguments)
        try:
            output, errors = process.communicate(timeout=self._timeout)
        except subprocess.TimeoutExpired:
            url, timeout = self._repository.url, self._timeout
            raise GitTimeout(f"git {arguments[0]} of {url} took more than {timeout:g} s") from None
        finally:
            _end(process)
        if process.returncode:
            raise GitError(self._reason(errors.decode(errors="replace")))
        return output.decode(errors="replace")

    def _start(self, arguments: tuple[str, ...]) -> subprocess.Popen[bytes]:
        try:
            # GitPython's own timeout needs ps or pgrep, which slim containers lack.
            process = self._git.execute(["git", *self._completed(arguments)], as_process=True)
        except GitCommandNotFound:
            raise GitError("git is not installed") from None
        # A wrapper with most of Popen's methods; it reaps git when it is garbage collected.
        return cast("subprocess.Popen[bytes]", process)

    def _completed(self, arguments: tuple[str, ...]) -> list[str]:
        command, *rest = arguments
        return [command, *(self._contact if command in _CONTACTING else []), *rest]

    def _reason(self, errors: str) -> str:
        lines = [line.strip() for line in errors.splitlines() if line.strip()]
        causes = [line for line in lines if line.startswith(("fatal:", "error:", "remote:"))] or lines[-1:]
        text = "; ".join(causes) or "git gave no reason"
        secret = self._repository.password
        return text.replace(secret, "***") if secret else text


def _end(process: subprocess.Popen[bytes]) -> None:
    """Leave no process behind: git's transport helpers outlive a git that is killed or terminated."""
    if process.poll() is None:
        kill_tree(process.pid)
        process.communicate()
    for stream in (process.stdout, process.stderr):
        if stream:
            stream.close()


def _upload_pack() -> list[str]:
    """Pass the safe directories to the git that reads a repository here: it gets no settings of ours."""
    settings = [part for directory in _safe_directories() for part in ("-c", f"safe.directory={directory}")]
    return [f"--upload-pack={shlex.join(['git', *settings, 'upload-pack'])}"] if settings else []


def _safe_directories() -> list[str]:
    """Read which repositories of others this machine's administrator and this user trust."""
    asked = ["git", "config", "--null", "--get-all", "safe.directory"]
    try:
        # Outside of any repository, whose own word does not count.
        answer = subprocess.run(
            asked, cwd="/", capture_output=True, text=True, check=False, timeout=_CONFIG_SECS
        )
    except (OSError, subprocess.TimeoutExpired):
        return []  # the command that follows reports what is wrong
    return answer.stdout.split("\0")[:-1]


def _environment(directory: Path, repository: Repository) -> dict[str, str]:
    settings = dict(_SETTINGS)
    if repository.scheme != "ssh" and repository.user:
        # In the environment, which only this user can read; an argument is seen by everyone.
        pair = f"{repository.user}:{repository.password or ''}".encode()
        settings["http.extraHeader"] = f"Authorization: Basic {base64.b64encode(pair).decode()}"
    environment = {
        "GIT_DIR": str(directory / ".git"),
        "GIT_WORK_TREE": str(directory),
        "GIT_INDEX_FILE": str(directory / ".git" / "index"),
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "",
        "SSH_ASKPASS": "",
        "GIT_SSH_COMMAND": os.environ.get("GIT_SSH_COMMAND", "ssh -oBatchMode=yes -oConnectTimeout=30"),
        "GIT_ALLOW_PROTOCOL": repository.scheme,
        "GIT_CONFIG_COUNT": str(len(settings)),
    }
    for number, (key, value) in enumerate(settings.items()):
        environment[f"GIT_CONFIG_KEY_{number}"] = key
        environment[f"GIT_CONFIG_VALUE_{number}"] = value
    return environment
