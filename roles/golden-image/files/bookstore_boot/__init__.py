"""Brings the store up on a clone of the golden image. `__main__.py` begins the story."""
