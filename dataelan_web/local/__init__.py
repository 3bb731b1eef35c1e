"""The embedded default: a real PostgreSQL and a real Valkey from wheels, and everything `make run` keeps alive.

Nothing in the product imports this package; a deployment that brings its own servers never loads it.
"""
