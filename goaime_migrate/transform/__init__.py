"""One document: the steps of a pass applied to it, and what they look up."""
