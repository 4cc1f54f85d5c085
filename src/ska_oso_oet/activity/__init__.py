"""Activities are named actions of a Scheduling Block, which are run as procedures."""
