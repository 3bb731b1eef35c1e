"""Anthropic's Messages: what they may ask → a Prompt, and Events → how they answer."""
