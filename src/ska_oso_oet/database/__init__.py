"""The stores share this: URLs of databases, connections to PostgreSQL, and reasons without secrets."""
