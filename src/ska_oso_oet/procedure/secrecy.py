"""Secrets of the service are kept out of the environment of scripts, and masked in what they write."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs, quote, unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

KNOWN: Final = (
    "ADMIN_POSTGRES_PASSWORD",
    "PGPASSWORD",
    "PGPASSFILE",
    "POSTGRES_PASSWORD",
    "OET_REST_TOKEN_FILE",
    "TANGOGQL_SECRET",
)
"""Variables whose value is a secret or names a file of it."""
_URLS: Final = ("OET_HISTORY_URL", "OET_ODA_URL", "ODA_URL")
"""Variables that are secret if their value has a password."""
_FILES: Final = ("*_FILE", "PGPASSFILE")
_LEAST: Final = 6
"""Characters of a secret that is masked; a shorter one stands in too many innocent words."""
_MASK: Final = "***"


class Secrets:
    """The secrets that an environment has.

    `more` are further variables of it, also as patterns (`*_TOKEN`); passwords of `urls` are secrets, too.
    """

    def __init__(
        self, environ: Mapping[str, str], more: Iterable[str] = (), urls: Iterable[str] = ()
    ) -> None:
        patterns = (*KNOWN, *more)
        self._names = {
            name
            for name, value in environ.items()
            if any(fnmatchcase(name, pattern) for pattern in patterns)
            or (name in _URLS and any(_passwords(value)))
        }
        values = {text for name in self._names for text in _secrets_of(name, environ[name])}
        values.update(text for url in urls for text in _passwords(url))
        forms = {form for text in values for form in (text, quote(text, safe="")) if len(text) >= _LEAST}
        self._forms = sorted(forms, key=len, reverse=True)  # the longest is masked where several match
        self._pattern = re.compile("|".join(map(re.escape, self._forms))) if forms else None

    def kept_from(self, environ: Mapping[str, str]) -> dict[str, str]:
        """Return an environment without the secret variables."""
        return {name: value for name, value in environ.items() if name not in self._names}

    def masked(self, text: str) -> str:
        """Write `***` where a secret stands."""
        return text if self._pattern is None else self._pattern.sub(_MASK, text)

    def mask(self, content: dict[str, Any]) -> None:
        """Write `***` where a secret stands in JSON values, however deep; they are changed in place."""
        todo: list[dict[str, Any] | list[Any]] = [content] if self._pattern is not None else []
        while todo:
            node = todo.pop()
            if isinstance(node, dict):
                pairs = [(self.masked(name), self._masked_text(value)) for name, value in node.items()]
                node.clear()
                node.update(pairs)
                todo += [value for value in node.values() if isinstance(value, dict | list)]
            else:
                node[:] = map(self._masked_text, node)
                todo += [value for value in node if isinstance(value, dict | list)]

    def _masked_text(self, value: Any) -> Any:
        return self.masked(value) if isinstance(value, str) else value

    def begun(self, text: str) -> int:
        """Count the characters at the end of a text that may be the beginning of a secret."""
        if self._pattern is None:
            return 0
        rest = text[max((match.end() for match in self._pattern.finditer(text)), default=0) :]
        return max(
            (
                count
                for form in self._forms
                for count in range(1, min(len(form), len(rest) + 1))
                if rest.endswith(form[:count])
            ),
            default=0,
        )


NONE: Final = Secrets({})


def _secrets_of(name: str, value: str) -> Iterator[str]:
    if name in _URLS:
        yield from _passwords(value)
    elif not any(fnmatchcase(name, pattern) for pattern in _FILES):
        yield value
    else:
        try:
            lines = Path(value).read_text(errors="replace").split()
        except OSError:
            return  # whoever needs the file will report that
        # A line of libpq's file is host:port:database:user:password.
        yield from (line.rsplit(":", 1)[-1] if name == "PGPASSFILE" else line for line in lines)


def _passwords(url: str) -> Iterator[str]:
    try:
        parts = urlsplit(url)
        password = parts.password
    except ValueError:
        return
    yield from [unquote(password)] if password else []
    yield from parse_qs(parts.query).get("password", [])
