"""What a prompt will cost, how long it will take and what would stop it, said before it is run. Read: where, past,
reckoning, words, kept, shown."""
