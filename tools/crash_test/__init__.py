"""Killing the server while it writes, to prove that it keeps every promise."""
