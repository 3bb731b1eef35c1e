"""The heart: which model answers, and how. Pure Python, imports nothing else of this project."""
