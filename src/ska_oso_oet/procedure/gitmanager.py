"""GitArgs and GitManager are documented under this path; their home is `ska_oso_oet.source.gitmanager`."""

from ska_oso_oet.source.gitmanager import GitArgs, GitManager, script_path

__all__ = ["GitArgs", "GitManager", "script_path"]
