"""The history is the durable record of procedures and activities."""
