"""The queue carries ids; PostgreSQL holds the truth."""
