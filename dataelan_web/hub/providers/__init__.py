"""Providers: everyone's and an organization's own, with what they list."""
