"""Run by the Python whose bytecode it writes: compiles the sources under a folder.

    python -B bytecode_script.py FOLDER SHOWN SHARE OF

It takes one share of the sources, such as 0 of 2; another process takes the other.
Each `.pyc` is trusted without a look at its source (PEP 552, unchecked hash), so that the times of
files do not matter, and names SHOWN in place of FOLDER. It is written in version 2 of the marshal
format, whose bytes depend on the values alone: from version 3 on they depend on how many references
the interpreter happens to hold. Sources that do not compile are left alone, as pip does.
"""

import importlib.util
import marshal
import sys
import warnings
from pathlib import Path

_FORMAT = 2
_UNCHECKED_HASH = 0b01


def main(folder: str, shown: str, share: str, of: str) -> None:
    warnings.simplefilter("ignore")
    for path in sorted(Path(folder).rglob("*.py"))[int(share) :: int(of)]:
        compile_one(path, f"{shown}/{path.relative_to(folder)}")


def compile_one(path: Path, shown: str) -> None:
    source = path.read_bytes()
    try:
        code = compile(source, shown, "exec", dont_inherit=True)
        data = marshal.dumps(code, _FORMAT)
    except (SyntaxError, ValueError, RecursionError, OverflowError):
        return
    header = importlib.util.MAGIC_NUMBER + _UNCHECKED_HASH.to_bytes(4, "little")
    target = path.parent / "__pycache__" / f"{path.stem}.{sys.implementation.cache_tag}.pyc"
    target.parent.mkdir(exist_ok=True)
    target.write_bytes(header + importlib.util.source_hash(source) + data)


if __name__ == "__main__":
    main(*sys.argv[1:])
