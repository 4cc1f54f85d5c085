"""How the tables of the history came to be, one step for each version; run at each start."""
