"""Save models as TensorFlow, Keras and MLflow do: `save_tensorflow.py FOLDER REQUIREMENTS…`."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"

import keras
import mlflow
import numpy as np
import tensorflow as tf
from keras import layers
from mlflow.models import infer_signature

FOLDER, REQUIREMENTS = Path(sys.argv[1]), sys.argv[2:]


def sequential() -> keras.Model:
    """A model without names of its own."""
    return keras.Sequential([layers.Input((4,)), layers.Dense(8, "relu"), layers.Dense(3)])


def two_inputs() -> keras.Model:
    """Inputs that are not in the order of the alphabet, and answers by name."""
    wide, narrow = keras.Input((4,), name="wide"), keras.Input((3,), name="narrow")
    joined = layers.Concatenate()([wide, narrow])
    answers = {"total": layers.Dense(2)(joined), "side": layers.Dense(1)(narrow)}
    return keras.Model([wide, narrow], answers)


def reader() -> keras.Model:
    """A text of any length, as indices: floats, since nothing says that they are whole."""
    return keras.Sequential([
        layers.Input((None,)), layers.Embedding(50, 8), layers.LSTM(6), layers.Dense(2),
    ])  # fmt: skip


def small_network() -> keras.Model:
    """A classifier of images of bytes, of the blocks that MobileNetV2 has, after augmentation."""
    image = keras.Input((32, 32, 3), name="image", dtype="uint8")
    x = layers.Rescaling(1 / 127.5, offset=-1)(image)
    x = layers.RandomFlip("horizontal")(x)
    x = layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False)(x)
    x = layers.BatchNormalization()(x)
    inner = layers.ReLU(6.0)(layers.Conv2D(16, 1)(x))
    inner = layers.DepthwiseConv2D(3, padding="same")(inner)
    x = layers.Add()([x, layers.Conv2D(8, 1)(inner)])
    return keras.Model(image, layers.Dense(5, "softmax")(layers.GlobalAveragePooling2D()(x)))


def of_texts() -> keras.Model:
    """A classifier of texts, with the tokenizer in it."""
    vectorize = layers.TextVectorization(max_tokens=20, output_sequence_length=5)
    vectorize.adapt(["a good film", "a bad film"])
    model = keras.Sequential([
        keras.Input((1,), dtype="string", name="text"), vectorize, layers.Embedding(20, 4),
        layers.GlobalAveragePooling1D(), layers.Dense(1),
    ])  # fmt: skip
    model(tf.constant([["a"]]))
    return model


def of_columns() -> keras.Model:
    """A column of words that is looked up, beside numbers."""
    color = keras.Input((1,), name="color", dtype="string")
    size = keras.Input((2,), name="size")
    known = layers.StringLookup(vocabulary=["red", "green"], output_mode="one_hot")
    return keras.Model([color, size], layers.Dense(2)(layers.Concatenate()([known(color), size])))


class Several(tf.Module):
    """Two functions under names of their own."""

    @tf.function(input_signature=[tf.TensorSpec([None, 3], tf.float32, name="x")])
    def double(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"y": x * 2}

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, 3], tf.int64, name="whole"),
            tf.TensorSpec([None], tf.bool, name="flag"),
        ]
    )
    def mixed(self, whole: tf.Tensor, flag: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"next": whole + 1, "not": tf.logical_not(flag)}


def main() -> None:
    keras.utils.set_random_seed(3)
    plain, two = sequential(), two_inputs()
    plain.save(FOLDER / "plain.keras")
    plain.save(FOLDER / "old.h5")
    plain.save_weights(FOLDER / "only.weights.h5")
    plain.export(FOLDER / "exported", verbose=False)
    two.save(FOLDER / "two.keras")
    reader().save(FOLDER / "reader.keras")
    small_network().save(FOLDER / "network.keras")
    texts = of_texts()
    texts.save(FOLDER / "texts.keras")
    written = tf.constant([["a good film"], ["Été naïve"], [""]])
    np.save(FOLDER / "texts.npy", texts(written).numpy())
    of_columns().export(FOLDER / "columns", verbose=False)
    several = Several()
    signatures = {"double": several.double, "mixed": several.mixed}
    tf.saved_model.save(several, FOLDER / "several", signatures)
    tf.saved_model.save(several, FOLDER / "unsigned")
    program = keras.Sequential([layers.Input((4,)), layers.Lambda(lambda x: x * 2)])
    program.save(FOLDER / "lambda.keras")
    program.save(FOLDER / "lambda.h5")

    random = np.random.default_rng(5)
    given = {
        name: random.random((2, size), np.float32) for name, size in (("wide", 4), ("narrow", 3))
    }
    answers = two.predict(given, verbose=0)
    np.savez(FOLDER / "two.npz", **given, **answers)
    signature = infer_signature(given, answers)
    common = {"pip_requirements": REQUIREMENTS}
    mlflow.tensorflow.save_model(two, FOLDER / "logged", signature=signature, **common)
    rows = np.ones((2, 4))
    signature = infer_signature(rows, plain.predict(rows, verbose=0))
    mlflow.tensorflow.save_model(plain, FOLDER / "doubles", signature=signature, **common)
    (FOLDER / "done.json").write_text(json.dumps(sorted(p.name for p in FOLDER.iterdir())))


if __name__ == "__main__":
    main()
