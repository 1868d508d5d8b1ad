"""Models of the Hugging Face Hub."""

from cloche.sources.huggingface.source import HuggingFaceSource

__all__ = ["HuggingFaceSource"]
