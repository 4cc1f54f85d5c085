"""A directory for `sys.path` of programs that multiprocessing starts for a script; not for import."""
