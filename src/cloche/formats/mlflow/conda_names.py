"""Names of conda packages on the Python package index.

Most Python packages have one name in both places. The exceptions here are those of packages that
models use; they were compared with the names that parselmouth reads from the built packages of
conda-forge (https://github.com/prefix-dev/parselmouth, August 2026). That mapping itself is not
used: it needs the network at each deploy, lacks meta-packages such as `opencv`, and is wrong where
a package contains another one (`flit-core` → `tomli`).
"""

from __future__ import annotations

import re

RENAMED = {
    "airflow": "apache-airflow", "analytics-python": "segment-analytics-python",
    "antlr-python-runtime": "antlr4-python3-runtime", "arch-py": "arch",
    "astropy-base": "astropy", "boruta_py": "boruta", "brotli-python": "brotli",
    "cupy-core": "cupy", "cvxpy-base": "cvxpy", "cython-blis": "blis", "dask-core": "dask",
    "docker-py": "docker", "dspy-ai": "dspy", "evalml-core": "evalml", "faiss": "faiss-cpu",
    "faiss-cpu": "faiss-cpu", "fastapi-core": "fastapi", "filesystem-spec": "fsspec",
    "geopandas-base": "geopandas", "h2o-py": "h2o", "h3-py": "h3",
    "google-cloud-bigquery-core": "google-cloud-bigquery",
    "google-cloud-bigquery-storage-core": "google-cloud-bigquery-storage",
    "ibis-framework-core": "ibis-framework", "iris": "scitools-iris",
    "jira-base": "jira", "matplotlib-base": "matplotlib", "mlflow-ui": "mlflow",
    "mne-base": "mne", "modal-client": "modal", "modin-core": "modin",
    "msgpack-python": "msgpack", "neo4j-python-driver": "neo4j", "numpy-base": "numpy",
    "opencv": "opencv-python-headless", "ortools-python": "ortools",
    "pandera-base": "pandera", "pandera-core": "pandera",
    "panel-core": "panel", "py-catboost": "catboost", "py-lightgbm": "lightgbm",
    "py-opencv": "opencv-python-headless", "py-xgboost": "xgboost", "py-xgboost-cpu": "xgboost",
    "py-xgboost-gpu": "xgboost", "pyqt": "pyqt5", "pysoundfile": "soundfile", "pysox": "sox",
    "pytables": "tables", "pytensor-base": "pytensor", "python-annoy": "annoy",
    "python-avro": "avro-python3", "python-blosc": "blosc", "python-blosc2": "blosc2",
    "python-build": "build", "python-confluent-kafka": "confluent-kafka",
    "python-duckdb": "duckdb", "python-fastjsonschema": "fastjsonschema",
    "python-flatbuffers": "flatbuffers", "python-graphviz": "graphviz",
    "python-hdfs": "hdfs", "python-igraph": "igraph", "python-kaleido": "kaleido",
    "python-kubernetes": "kubernetes", "python-leveldb": "leveldb",
    "python-libarchive-c": "libarchive-c", "python-lmdb": "lmdb", "python-mss": "mss",
    "python-sounddevice": "sounddevice", "python-substrait": "substrait",
    "python-symengine": "symengine", "python-tzdata": "tzdata", "python-wget": "wget",
    "python-xxhash": "xxhash", "pytorch": "torch", "pytorch-cpu": "torch",
    "pytorch-gpu": "torch", "pytorch_cluster": "torch-cluster",
    "pytorch_geometric": "torch-geometric", "pytorch_scatter": "torch-scatter",
    "pytorch_sparse": "torch-sparse", "pytorch_spline_conv": "torch-spline-conv",
    "quantlib-python": "quantlib", "quaternion": "numpy-quaternion", "ray-core": "ray",
    "ray-default": "ray[default]", "ray-serve": "ray[serve]", "ray-tune": "ray[tune]",
    "redis-py": "redis", "river-py": "river", "ruamel_yaml": "ruamel.yaml",
    "sagemaker-python-sdk": "sagemaker", "seaborn-base": "seaborn",
    "segment-anything": "segment-anything-py", "sentencepiece-python": "sentencepiece",
    "soxr-python": "soxr", "sqlalchemy-utils-base": "sqlalchemy-utils",
    "starlette-base": "starlette", "starlette-full": "starlette",
    "tensorflow-base": "tensorflow", "tensorflow-gpu": "tensorflow",
    "tensorflow-mkl": "tensorflow", "tensorflow-eigen": "tensorflow", "tiledb-py": "tiledb",
    "tf_object_detection": "object-detection", "trino-python-client": "trino",
    "vtk-base": "vtk",
}  # fmt: skip
"""Python packages whose name on the index is another one."""

_LIBRARIES_AND_TOOLS = """
    alsa-lib aom arpack arrow-cpp aspell attr bash binutils bison blas blosc boost boost-cpp brotli
    brotli-bin bzip2 c-ares c-blosc2 c-compiler ca-certificates cairo ceres-solver cfitsio cling
    cmake compilers coreutils cpp-expected cpython curl cxx-compiler cyrus-sasl dav1d dbus
    double-conversion eigen elfutils exiv2 expat ffmpeg fftw findutils flex fluidsynth fmt
    fontconfig fontpackages fortran-compiler freeglut freetype freexl fribidi gawk gcc gdb geos
    geotiff gettext gflags gfortran ghostscript giflib git git-lfs glew glib glib-tools glog glpk
    gmp gnupg gnutls gperftools graphicsmagick graphite2 graphviz grep grpc-cpp gsl
    gst-plugins-base gstreamer gtk2 gtk3 gts gxx gzip harfbuzz hdf4 hdf5 hunspell hypre icu
    imagemagick imath intel-openmp isl jasper jemalloc jpeg jq json-c jsoncpp kealib keyutils
    khronos-opencl-icd-loader krb5 lame lapack lcms2 leptonica lerc less llvm-openmp llvmdev lz4-c
    lzo m4 magma make mecab mesalib metis mkl mkl-include mkl-service mkl_fft mkl_random mpc mpfr
    mpg123 mpi mpich msodbcsql17 msodbcsql18 mumps mysql nccl ncurses nettle nlohmann_json nodejs
    nomkl nspr nss numactl ocl-icd openblas opencl-headers openexr openh264 openjdk openjpeg
    openldap openmp openmpi openssl opus orc p11-kit p7zip pandoc pango parallel parquet-cpp patch
    patchelf pcre pcre2 perl petsc pip pixman pkg-config poppler poppler-data portaudio postgresql
    procps-ng proj protobuf-cpp pthread-stubs ptscotch pulseaudio python python_abi pytorch-cuda
    pytorch-mutex qhull qt qt-main rdma-core re2 readline ruby rust s2n scotch sed sleef slepc
    snappy sox spatialite spdlog sqlite ssl suitesparse superlu svt-av1 swig tar tbb tcl tensorrt
    tesseract texlive-core thrift-cpp time tk tzcode tzdata ucx unixodbc unzip uriparser utf8proc
    util-linux vim wget which x264 x265 xcb-util xerces-c xz yaml yaml-cpp zeromq zfp zip zlib
    zlib-ng zstd
"""
_NOT_PYTHON = frozenset(_LIBRARIES_AND_TOOLS.split())
"""Packages without a Python package of the same kind; some names on the index are other things."""

_FAMILIES = re.compile(
    r"_.*|(aws-c-|aws-sdk|azure-.*-cpp|binutils|cuda|cudnn|cutensor|font|gcc_|gfortran_|gxx_"
    r"|kernel-headers|ld_impl_|lib|m2-|m2w64|mscorefonts|perl-|r-|sysroot_|ttf-|ucrt|vs20|xcb-|xorg-"
    r").*|vc(14_runtime)?|.*-(cos\d|amzn\d|conda_cos\d).*"
)
_PYTHON_ALL_THE_SAME = frozenset({
    "cuda-bindings", "cuda-core", "cuda-pathfinder", "cuda-python", "fonttools", "libclang",
    "libcst", "libensemble", "libpysal", "librosa", "libsass", "libsvm", "libtmux",
})  # fmt: skip
"""Python packages that the families above would take for libraries."""


def counterpart(name: str, build: str = "") -> str | None:
    """Return the name of a conda package on the index, None if it has no Python package there.

    `build` decides where the name is not known: conda-forge and Anaconda name the Python in the
    build of a Python package (`py311h64a7726_0`, `pyhd8ed1ab_0`).
    """
    if name in RENAMED:
        return RENAMED[name]
    if name in _PYTHON_ALL_THE_SAME:
        return name
    if name in _NOT_PYTHON or _FAMILIES.fullmatch(name):
        return None
    return name if not build or "py" in build or "*" in build else None


def numbered_on_index(name: str) -> bool:
    """Return whether a release has one number more on the index: 4.9.0 is 4.9.0.80 there."""
    return name == "opencv-python-headless"
