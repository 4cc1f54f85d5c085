"""The `oet` command."""
