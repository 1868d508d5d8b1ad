"""The version, read by the build and by every record that names its maker."""

__version__ = "0.1.0"
