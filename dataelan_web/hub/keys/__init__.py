"""Provider keys: kept sealed, tested, spread, rotated."""
