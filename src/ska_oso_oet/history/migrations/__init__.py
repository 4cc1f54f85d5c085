"""The tables of the history are made in steps, one for each version, which run at each start."""
