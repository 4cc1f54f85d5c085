"""What the stores share: the URLs of databases, connections to PostgreSQL, and reasons without secrets."""
