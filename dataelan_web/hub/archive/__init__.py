"""The archive: what was deleted after it was used. History goes on speaking of it, and it can come back."""
