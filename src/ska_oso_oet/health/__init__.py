"""Health supervision: from component states to healthState and healthInfo."""
