"""This module decides which repositories may be contacted, by URLs in one canonical form.

The check is made on what is passed to git, so that no second reading of a URL (user names that look like
hosts, `..`, encoded slashes, `ext::` transports, options) can lead elsewhere.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import SplitResult, quote, unquote, urlsplit

from ska_oso_oet.errors import InvalidArgument
from ska_oso_oet.source.git_errors import RepositoryNotAllowed

if TYPE_CHECKING:
    from collections.abc import Iterable

DEFAULT_PORTS: Final = {"https": 443, "http": 80, "ssh": 22, "git": 9418, "file": None}
_SCP = re.compile(r"(?:(?P<user>[\w.-]+)@)?(?P<host>[A-Za-z0-9][\w.-]*):(?P<path>[^:/@][^:@]*)", re.ASCII)
_HOST = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?|[0-9a-f:.]+")
_USER = re.compile(r"[\w.]([\w.-]*)", re.ASCII)
_PLAIN = re.compile(r"[!-~]+")  # visible ASCII: no blanks and no control characters


@dataclass(frozen=True)
class Repository:
    """A repository's address. `password` and a web address's `user` are secrets: they are in no text."""

    scheme: str
    host: str
    path: tuple[str, ...]
    user: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)

    @classmethod
    def parse(cls, text: str) -> Repository:
        """Read a URL, `user@host:path` or an absolute directory; raise ValueError with a reason."""
        parts = _split(text)
        scheme = parts.scheme.lower()
        if scheme not in DEFAULT_PORTS:
            raise ValueError(f"the scheme is not one of {', '.join(DEFAULT_PORTS)}")
        path = _segments(parts.path)
        if scheme == "file":
            if parts.netloc not in {"", "localhost"}:
                raise ValueError("a file:// URL has no host")
            return cls(scheme, "", Path("/", *path).resolve().parts[1:])
        user, password = (unquote(part) if part else None for part in (parts.username, parts.password))
        if scheme == "ssh" and (password or (user and not _USER.fullmatch(user))):
            raise ValueError("ssh takes a plain user name and no password")
        return cls(scheme, _host(parts, scheme), path, user, password)

    @property
    def url(self) -> str:
        """The URL for git and for messages: canonical, without secrets."""
        user = f"{self.user}@" if self.scheme == "ssh" and self.user else ""
        return f"{self.scheme}://{user}{self.host}/{quote('/'.join(self.path), safe='/+,=:@')}"

    @property
    def encrypted(self) -> Repository:
        """The same by https, where it is by http on the usual port."""
        plain = self.scheme == "http" and not re.search(r":\d+$", self.host)
        return replace(self, scheme="https") if plain else self

    def is_under(self, prefix: Repository) -> bool:
        """Return whether the repository is `prefix` or below it; `.git` at the end makes no difference."""
        if (self.scheme, self.host) != (prefix.scheme, prefix.host):
            return False
        return _bare(self.path)[: len(prefix.path)] == _bare(prefix.path)


class AllowedRepositories:
    """The prefixes that repositories may come from, such as `https://gitlab.com/ska-telescope`.

    A prefix ends at a path segment: `https://gitlab.com/ska` does not allow `https://gitlab.com/skate`.
    Directories of this machine are allowed only by a prefix that is one (`file:///srv/git` or `/srv/git`).
    What is allowed by https is meant, and contacted by https, also where `http://` is written.
    """

    def __init__(self, prefixes: Iterable[str]) -> None:
        self._prefixes = [_prefix(text) for text in prefixes]

    def check(self, text: str) -> Repository:
        """Return the repository that `text` names, or raise RepositoryNotAllowed."""
        try:
            repository = Repository.parse(text)
        except ValueError as error:
            raise RepositoryNotAllowed(f"repository {redacted(text)} is not allowed: {error}") from None
        for meant in (repository, repository.encrypted):
            if any(meant.is_under(prefix) for prefix in self._prefixes):
                return meant
        allowed = ", ".join(prefix.url for prefix in self._prefixes) or "none"
        raise RepositoryNotAllowed(f"repository {repository.url} is not allowed (allowed: {allowed})")


def redacted(text: str) -> str:
    """Return a URL without user name, password, query and fragment, whatever else is wrong with it."""
    head, at, tail = text.rpartition("@")
    scheme = head.partition("://")[0] + "://" if "://" in head else ""
    shown = re.split(r"[?#]", tail, maxsplit=1)[0]
    return f"{scheme}***@{shown}" if at else shown


def _prefix(text: str) -> Repository:
    try:
        return Repository.parse(text)
    except ValueError as error:
        raise InvalidArgument(f"allowed repository prefix {redacted(text)}: {error}") from None


def _split(text: str) -> SplitResult:
    if not _PLAIN.fullmatch(text) or "\\" in text:
        raise ValueError("blanks, control characters, backslashes and other alphabets are not accepted")
    if "?" in text or "#" in text:
        raise ValueError("a query or a fragment is not accepted")
    if text.startswith("/"):
        return urlsplit("file://" + text)
    if "://" not in text and (match := _SCP.fullmatch(text)):
        user = f"{match['user']}@" if match["user"] else ""
        return urlsplit(f"ssh://{user}{match['host']}/{match['path']}")
    return urlsplit(text)


def _segments(path: str) -> tuple[str, ...]:
    if re.search(r"%(2f|5c|00|0a|0d)", path, re.IGNORECASE):
        raise ValueError("encoded slashes and control characters are not accepted")
    plain = unquote(path).removeprefix("/").removesuffix("/")
    segments = tuple(plain.split("/")) if plain else ()
    if {"", ".", ".."} & set(segments):
        raise ValueError("empty, '.' and '..' path segments are not accepted")
    return segments


def _host(parts: SplitResult, scheme: str) -> str:
    host = parts.hostname or ""
    if not _HOST.fullmatch(host) or host.startswith("-"):
        raise ValueError("the host is missing or malformed")
    shown = f"[{host}]" if ":" in host else host
    return shown if parts.port in {None, DEFAULT_PORTS[scheme]} else f"{shown}:{parts.port}"


def _bare(path: tuple[str, ...]) -> tuple[str, ...]:
    return (*path[:-1], path[-1].removesuffix(".git")) if path else path
