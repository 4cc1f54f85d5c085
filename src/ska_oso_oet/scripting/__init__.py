"""Observing scripts are written with what this package offers.

`ska_oso_oet.tango` offers the Tango side of it under one name; `scripting.telescope` speaks of the telescope
and its subarrays, `scripting.scheduling_block` of Scheduling Blocks, `scripting.events` of what a script
announces.
"""
