"""Tasks made of subtasks: progress and outcome."""
