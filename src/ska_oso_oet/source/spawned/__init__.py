"""Programs that multiprocessing starts for a script have this directory on `sys.path`; never import it."""
