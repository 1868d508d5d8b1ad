"""Images of others, as they are: copied with all that refers to them, and compared."""
