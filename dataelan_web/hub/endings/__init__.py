"""Models that end: when, what needs them here, and what to use instead."""
