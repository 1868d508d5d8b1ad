"""Save models with weights that nobody trained, as their libraries document it: `save.py FOLDER`.

Beside a model is a request of it, its inputs by name; `sentences.txt` has texts of 20 words.
"""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

import numpy as np
import torch
import torchvision
import transformers
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer

FOLDER = Path(sys.argv[1])
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
WORDS = 30_522
"""The size of BERT's vocabulary."""
TEXTS, LENGTH = 32, 20


def vocabulary() -> dict[str, int]:
    """Return made-up words of one to three syllables, with their ids."""
    syllables = ["".join(pair) for pair in itertools.product("bdfgklmnprstvz", "aeiou")]
    words = itertools.chain.from_iterable(
        map("".join, itertools.product(syllables, repeat=count)) for count in (1, 2, 3)
    )
    every = itertools.islice(itertools.chain(SPECIAL, words), WORDS)
    return {word: index for index, word in enumerate(every)}


def sentences() -> list[str]:
    chosen = np.random.default_rng(7).choice(list(vocabulary())[len(SPECIAL) :], (TEXTS, LENGTH))
    return [" ".join(words) for words in chosen]


def save_image_classifier() -> None:
    torch.save(torchvision.models.resnet50(weights=None).eval(), FOLDER / "resnet50.pt")
    np.savez(FOLDER / "pytorch.npz", x=np.random.rand(1, 3, 224, 224).astype(np.float32))


def save_text_classifier(text: str) -> None:
    """DistilBERT with the sizes of its default."""
    words = transformers.DistilBertTokenizer(vocab=vocabulary(), model_max_length=256)
    model = transformers.DistilBertForSequenceClassification(transformers.DistilBertConfig())
    model.save_pretrained(FOLDER / "distilbert")
    words.save_pretrained(FOLDER / "distilbert")
    np.savez(FOLDER / "huggingface.npz", **words([text], return_tensors="np"))


def save_sentence_encoder() -> None:
    """The sizes of all-MiniLM-L6-v2."""
    sizes = transformers.BertConfig(
        hidden_size=384, num_hidden_layers=6, num_attention_heads=12, intermediate_size=1536
    )
    encoder = FOLDER / "encoder"
    transformers.BertModel(sizes).save_pretrained(encoder)
    words = transformers.BertTokenizer(vocab=vocabulary(), model_max_length=256)
    words.save_pretrained(encoder)
    network = Transformer(str(encoder), max_seq_length=256)
    modules = [network, Pooling(sizes.hidden_size, "mean"), Normalize()]
    SentenceTransformer(modules=modules, device="cpu").save(str(FOLDER / "minilm"))


def main() -> None:
    torch.manual_seed(7)
    texts = sentences()
    (FOLDER / "sentences.txt").write_text("\n".join(texts))
    save_image_classifier()
    save_text_classifier(texts[0])
    save_sentence_encoder()


if __name__ == "__main__":
    main()
