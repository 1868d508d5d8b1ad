"""A file system of Debian's packages, made with no dpkg and no root.

packages.in names them, packages.txt pins them, `deb.py` reads one, `filesystem.py` lays them out.
"""
