"""A model of transformers with code of its own, as people publish it: `save_pretrained` copies it.

The names of its files are those that `auto_map` in config.json gets.
"""
