"""Where scripts come from: files, git repositories, their environments, and which of them may be run."""
