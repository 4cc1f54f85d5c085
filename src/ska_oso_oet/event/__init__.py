"""The event bus: topics, sequence numbers and replay."""
