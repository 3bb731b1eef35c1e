"""The hub's set-up out and in, as a file."""
