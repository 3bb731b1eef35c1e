"""The calls of OpenAI's API: what each may ask → a Prompt, and Events → how it answers."""
