"""Routing rules: written, ordered, rehearsed."""
