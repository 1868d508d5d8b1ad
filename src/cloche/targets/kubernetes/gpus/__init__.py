"""GPUs of a cluster: what nodes say of theirs, whether they run an image, and which are free."""
