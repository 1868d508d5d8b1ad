"""Files that Envoy follows: whole, versioned, untouched when nothing changed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cloche.errors import ClocheError
from cloche.targets.local.envoy import xds


def test_the_same_resources_are_not_written_twice(tmp_path: Path) -> None:
    path = tmp_path / "clusters.json"
    version = xds.publish(path, "type/a", [{"name": "a"}])
    inode = path.stat().st_ino
    assert xds.publish(path, "type/a", [{"name": "a"}]) == version == xds.read_version(path)
    assert path.stat().st_ino == inode
    assert xds.publish(path, "type/a", [{"name": "b"}]) != version
    assert xds.read_resources(path) == [{"@type": "type/a", "name": "b"}]
    assert [each.name for each in tmp_path.iterdir()] == ["clusters.json"]


def test_a_file_holds_a_discovery_response(tmp_path: Path) -> None:
    version = xds.publish(tmp_path / "x.json", "type/a", [])
    document = json.loads((tmp_path / "x.json").read_bytes())
    assert document == {"version_info": version, "type_url": "type/a", "resources": []}


CUT = b'{"version_info":"1","type_url":"type/a","resources":[{'


@pytest.mark.parametrize("content", [None, b"", b"{", b"[]", b'{"resources": 1}', CUT])
def test_what_is_not_whole_counts_as_nothing(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "x.json"
    if content is not None:
        path.write_bytes(content)
    assert xds.read_resources(path) == []
    assert xds.read_version(path) is None


def test_a_file_of_an_earlier_release_has_a_version(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(json.dumps({"version_info": "1", "type_url": "type/a", "resources": []}))
    assert xds.read_version(path) == "1"


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(ClocheError) as caught:
        xds.publish(tmp_path / "missing" / "x.json", "type/a", [])
    assert caught.value.code == "gateway.unwritable"
    assert caught.value.retriable
