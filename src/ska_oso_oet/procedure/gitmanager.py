"""The documented import path of GitManager, whose home is `ska_oso_oet.source.gitmanager`."""

from ska_oso_oet.source.gitmanager import GitManager, script_path

__all__ = ["GitManager", "script_path"]
