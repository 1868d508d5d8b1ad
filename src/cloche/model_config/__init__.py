"""Triton's ModelConfig: its messages, the files beside it, and finished models.

Formats read it, the repository writes it, a server is started on it. It lies below these stages, so
that they need not import one another.
"""
