"""Save models as transformers, sentence-transformers and MLflow document it.

`save_transformers.py FOLDER REQUIREMENTS…`
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import mlflow
import numpy as np
import torch
import transformers
from mlflow.models import infer_signature
from own_net.configuration_net import NetConfig
from own_net.modeling_net import NetForSequenceClassification
from sentence_transformers import CrossEncoder, SentenceTransformer
from sentence_transformers.models import Dense, Normalize, Pooling, Transformer
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

FOLDER, REQUIREMENTS = Path(sys.argv[1]), sys.argv[2:]
SIZES = {
    "vocab_size": 220, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
    "intermediate_size": 48,
}  # fmt: skip
TEXTS = ["a film of great warmth", "dull", "the plot is thin, and the music loud", ""]


def tokenizer() -> transformers.PreTrainedTokenizerFast:
    """WordPiece over a few words, as BERT has it."""
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    made = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer()
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    words = trainers.WordPieceTrainer(vocab_size=SIZES["vocab_size"], special_tokens=special)
    made.train_from_iterator(TEXTS * 5 + ["deploy the model as a service"], words)
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]",
        sep_token="[SEP]", mask_token="[MASK]", model_max_length=64,
    )  # fmt: skip


def classifier() -> transformers.BertForSequenceClassification:
    """Three classes with names."""
    torch.manual_seed(1)
    names = {0: "bad", 1: "neither", 2: "good"}
    config = transformers.BertConfig(
        **SIZES, id2label=names, label2id={name: index for index, name in names.items()}
    )
    return transformers.BertForSequenceClassification(config).eval()


def answers(folder: Path, tokens: dict[str, torch.Tensor], answer: torch.Tensor) -> None:
    """Write a request and the library's own answer."""
    np.savez(folder, answer=answer.numpy(), **{name: each.numpy() for name, each in tokens.items()})


def save_texts() -> None:
    model, words = classifier(), tokenizer()
    model.save_pretrained(FOLDER / "classifier")
    words.save_pretrained(FOLDER / "classifier")
    tokens = dict(words(TEXTS, padding=True, return_tensors="pt"))
    tokens["token_type_ids"] = torch.zeros_like(tokens["input_ids"])
    answers(FOLDER / "classifier.npz", tokens, model(**tokens).logits.detach())

    binary = FOLDER / "binary"  # as older releases saved it, in half precision and without pooler
    transformers.BertModel(model.config).half().save_pretrained(binary)
    (binary / "model.safetensors").unlink()
    state = {name: each for name, each in model.bert.half().state_dict().items()
             if "pooler" not in name}  # fmt: skip
    torch.save(state, binary / "pytorch_model.bin")

    torch.manual_seed(2)
    config = transformers.RobertaConfig(**{**SIZES, "type_vocab_size": 1}, num_labels=5)
    tags = transformers.RobertaForTokenClassification(config)
    tags.save_pretrained(FOLDER / "sharded", max_shard_size="40KB")

    alone = transformers.MPNetModel(transformers.MPNetConfig(**SIZES))
    alone.save_pretrained(FOLDER / "wordless")  # no tokenizer is beside it

    random = FOLDER / "headless"  # the configuration names a head that nobody trained
    transformers.BertModel(model.config).save_pretrained(random)
    shutil.copy(FOLDER / "classifier" / "config.json", random)


def save_pictures() -> None:
    torch.manual_seed(3)
    resnet = transformers.ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1])
    transformers.ResNetForImageClassification(resnet).save_pretrained(FOLDER / "resnet")
    (FOLDER / "resnet" / "preprocessor_config.json").write_text('{"size": {"shortest_edge": 48}}')
    swin = transformers.SwinConfig(
        image_size=32, patch_size=4, embed_dim=16, depths=[1, 1], num_heads=[2, 2], window_size=4
    )
    transformers.SwinForImageClassification(swin).save_pretrained(FOLDER / "swin")


def save_pictures_of_more() -> None:
    """CLIP takes texts beside pictures, and DETR finds things with a decoder."""
    torch.manual_seed(5)
    texts = {**SIZES, "eos_token_id": 3, "bos_token_id": 2, "max_position_embeddings": 64}
    seen = {**SIZES, "image_size": 32, "patch_size": 8}
    sizes = {"text_config": texts, "vision_config": seen, "projection_dim": 16}
    clip = transformers.CLIPModel(transformers.CLIPConfig(**sizes))
    clip.save_pretrained(FOLDER / "clip")
    tokenizer().save_pretrained(FOLDER / "clip")

    layers = {f"{part}_{name}": size for part in ("encoder", "decoder") for name, size in
              (("layers", 1), ("attention_heads", 2), ("ffn_dim", 32))}  # fmt: skip
    backbone = transformers.ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 8, 16, 16], depths=[1, 1, 1, 1], layer_type="basic",
        out_features=["stage4"],
    )  # fmt: skip
    config = transformers.DetrConfig(
        use_timm_backbone=False, backbone=None, backbone_config=backbone, d_model=32,
        num_queries=5, num_labels=2, **layers,
    )  # fmt: skip
    transformers.DetrForObjectDetection(config).save_pretrained(FOLDER / "detr")


def save_own_code() -> None:
    torch.manual_seed(5)
    NetConfig.register_for_auto_class()
    NetForSequenceClassification.register_for_auto_class("AutoModelForSequenceClassification")
    NetForSequenceClassification(NetConfig(num_labels=3)).save_pretrained(FOLDER / "own")
    tokenizer().save_pretrained(FOLDER / "own")


def save_sentences() -> SentenceTransformer:
    torch.manual_seed(4)
    encoder = FOLDER / "encoder"
    transformers.BertModel(transformers.BertConfig(**SIZES)).save_pretrained(encoder)
    tokenizer().save_pretrained(encoder)
    first = Transformer(str(encoder), max_seq_length=24)
    modules = [first, Pooling(32, "mean"), Dense(32, 12), Normalize()]
    model = SentenceTransformer(modules=modules, device="cpu")
    model.save(str(FOLDER / "sentences"))
    return model


def save_pairs() -> None:
    """A CrossEncoder as its library saves it today, and as most of the hub has them."""
    torch.manual_seed(6)
    config = transformers.BertConfig(**SIZES, num_labels=1)
    network = transformers.BertForSequenceClassification(config).eval()
    network.classifier.weight.data.normal_(0, 1)
    network.config.sentence_transformers = {
        "activation_fn": "torch.nn.modules.activation.Sigmoid", "version": "4.1.0.dev0",
    }  # fmt: skip
    network.save_pretrained(FOLDER / "reranker")
    tokenizer().save_pretrained(FOLDER / "reranker")
    cross = CrossEncoder(str(FOLDER / "reranker"), device="cpu")
    cross.save_pretrained(str(FOLDER / "pairs"))
    given = [("deploy the model", "a service"), (TEXTS[0], TEXTS[1]), ("", "deploy")]
    tokens = cross.tokenizer(
        [one for one, _ in given], [other for _, other in given], padding=True, return_tensors="pt"
    )
    scores = torch.from_numpy(cross.predict(given))
    answers(FOLDER / "pairs.npz", dict(tokens), scores)


def save_logged(sentences: SentenceTransformer) -> None:
    model, words, common = classifier(), tokenizer(), {"pip_requirements": REQUIREMENTS}
    parts = {"model": model, "tokenizer": words}
    task = "text-classification"
    mlflow.transformers.save_model(parts, FOLDER / "pipeline", task=task, **common)
    tokens = {name: np.ones((2, 7), np.int64) for name in ("input_ids", "attention_mask")}
    signature = infer_signature(tokens, {"logits": np.ones((2, 3), np.float32)})
    mlflow.transformers.save_model(
        parts, FOLDER / "network", task=task, signature=signature, **common
    )
    mlflow.sentence_transformers.save_model(
        sentences, FOLDER / "encoded", input_example=TEXTS[:1], **common
    )


def main() -> None:
    save_texts()
    save_pictures()
    save_pictures_of_more()
    save_own_code()
    save_pairs()
    save_logged(save_sentences())
    (FOLDER / "done.json").write_text(json.dumps(sorted(p.name for p in FOLDER.iterdir())))


if __name__ == "__main__":
    main()
