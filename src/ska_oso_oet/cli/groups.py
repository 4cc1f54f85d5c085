"""A command that was typed without its group is refused with the name of that group."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from typer.core import TyperGroup

if TYPE_CHECKING:
    from collections.abc import Iterator


class Root(TyperGroup):
    """The group of all commands: `oet stop` is led to `oet procedure stop`, not to what looks like it."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find a command; raises a usage error."""
        meant = " or ".join(f"'{ctx.command_path} {group} {args[0]}'" for group in self._groups_with(args[0]))
        if meant and args[0] not in self.commands:
            ctx.fail(f"No such command {args[0]!r}. Did you mean {meant}?")
        return super().resolve_command(ctx, args)

    def _groups_with(self, name: str) -> Iterator[str]:
        for group, command in self.commands.items():
            if isinstance(command, TyperGroup) and name in command.commands:
                yield group
