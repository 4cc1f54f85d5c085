"""How hard rules are tried with generated input: a little at each run, as there are many runs."""

from __future__ import annotations

from hypothesis import settings

# No deadline: a loaded machine is no fault. No database: what is found becomes a test with its input.
settings.register_profile("each run", max_examples=25, deadline=None, database=None)
settings.register_profile("thorough", max_examples=1000, deadline=None, database=None)
settings.load_profile("each run")
