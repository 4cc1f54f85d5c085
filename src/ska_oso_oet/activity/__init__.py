"""Activities: named actions of a Scheduling Block, run as procedures."""
