"""This package has both ends of the pipe between the controller and the processes that run scripts."""
