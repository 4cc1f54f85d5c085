"""The documented import path of GitArgs and GitManager, whose home is `ska_oso_oet.source.gitmanager`."""

from ska_oso_oet.source.gitmanager import GitArgs, GitManager, script_path

__all__ = ["GitArgs", "GitManager", "script_path"]
