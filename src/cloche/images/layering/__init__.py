"""What a layer holds, and the tar stream that it is."""
