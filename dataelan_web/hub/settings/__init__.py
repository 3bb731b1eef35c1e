"""Settings of the hub: who pays, and what happens where a price is unknown."""
