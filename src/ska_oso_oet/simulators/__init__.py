"""A simulated telescope has a CentralNode, four SubarrayNodes of SKA-Mid or SKA-Low, and a weather station.

The device server is `TelescopeSimulator <instance>` (`mid` or `low`); the files of
`devices/simulators/` register its devices.
"""
