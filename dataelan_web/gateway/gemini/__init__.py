"""Gemini's generateContent: what it may ask → a Prompt, and Events → how it answers."""
