"""What other builders make the image of a service from."""
