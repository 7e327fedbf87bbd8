"""Programs for those who work on the server; run them from the repository's root: python -m tools.crash_test."""
