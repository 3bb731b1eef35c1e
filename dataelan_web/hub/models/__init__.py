"""Models: the catalogue, the price book, and the pages of both."""
