"""Estimators of scikit-learn, XGBoost and LightGBM to ONNX, by skl2onnx and onnxmltools."""

from __future__ import annotations


class Sklearn:
    """skl2onnx and onnxmltools; implements `cloche.conversion.Converter`."""

    framework = "sklearn"
    requirements: tuple[str, ...] = (
        "numpy",
        "pandas",
        "onnx",
        "onnxruntime",
        "skl2onnx",
        "onnxmltools",
        # skl2onnx gives booleans where protobuf 7 takes integers (histogram gradient boosting).
        "protobuf<7",
    )
