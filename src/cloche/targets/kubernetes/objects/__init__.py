"""The objects of a service, as plain values: one module for each kind."""
