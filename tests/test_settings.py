"""Settings: one table from which fields, variables and keys of config.toml all come."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloche import settings as machine
from cloche.errors import ErrorGroup
from cloche.home import HomeLayout, default_home
from cloche.settings import Settings


def test_every_field_is_in_the_table_and_nothing_else() -> None:
    named = {key.field for key in machine.KEYS}
    assert named | {"home"} == {field.name for field in fields(Settings)}
    assert len(named) == len(machine.KEYS)
    assert {key.variable for key in machine.KEYS} | {"CLOCHE_HOME"} == set(
        machine.variables(Settings(Path("/x")))
    )


@given(
    st.builds(
        Settings,
        home=st.just(Path("/home/of/cloche")),
        gateway_host=st.sampled_from(["127.0.0.1", "::1", "localhost"]),
        gateway_port=st.integers(0, 65535),
        gateway_workers=st.integers(1, 64),
        gateway_processes=st.integers(1, 8),
        gateway_max_request_bytes=st.integers(0, 2**50),
        gateway_request_timeout=st.floats(1e-9, 1e9),
        gateway_hosts=st.sampled_from([(), ("x.example",), ("*.lab", "y")]),
        gateway_cors=st.sampled_from([(), ("*",), ("https://x", "http://y:1")]),
        control_port=st.integers(0, 65535),
        cache_max_size=st.integers(0, 2**50),
        environments_pytorch_index=st.sampled_from(["https://x/y", "http://10.0.0.1:8080/whl/cpu"]),
        images_debian_mirror=st.sampled_from(["https://x", "http://10.0.0.1:8080/mirrors"]),
        images_trusted=st.sampled_from([(), ("registry.example.com/team", "127.0.0.1:5000")]),
    )
)
def test_variables_are_read_back_as_the_same_settings(settings: Settings) -> None:
    assert machine.load(machine.variables(settings)) == settings


@pytest.mark.parametrize("key", machine.KEYS, ids=lambda key: key.name)
def test_a_variable_goes_before_the_file(key: machine.Key, tmp_path: Path) -> None:
    defaults = machine.variables(Settings(tmp_path))
    addresses = dict.fromkeys(
        ("environments_pytorch_index", "images_debian_mirror"), "https://x/whl/cpu"
    )
    text = {
        "gateway_host": "::1",
        "gateway_processes": "3",
        "gateway_cors": "http://x",
        **addresses,
    }.get(key.field, "77s" if "timeout" in key.field else "77")
    HomeLayout(tmp_path).config.write_text(f'[{key.section}]\n{key.key} = "{text}"\n')
    from_file = machine.load({"CLOCHE_HOME": str(tmp_path)})
    assert getattr(from_file, key.field) == key.parse(text)
    assert machine.load(defaults) == Settings(tmp_path)


def test_the_home_is_a_folder_of_the_users_where_none_is_named(tmp_path: Path) -> None:
    assert default_home({"CLOCHE_HOME": str(tmp_path)}) == tmp_path
    assert default_home({"CLOCHE_HOME": ""}) == Path.home() / ".cloche"


def test_everything_of_a_home_is_in_it_under_names_of_its_own(tmp_path: Path) -> None:
    layout = HomeLayout(tmp_path)
    names = [name for name, value in vars(HomeLayout).items() if isinstance(value, property)]
    paths = [getattr(layout, name) for name in names]
    assert len(set(paths)) == len(paths) > 15
    assert all(path.is_relative_to(tmp_path) for path in paths)


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("mirror.example/whl/cpu", "is not an address"),
        ("ftp://mirror.example/whl/cpu", "is not an address"),
        ("https://user:secret@mirror.example/whl/cpu", "~/.netrc"),
    ],
)
def test_an_index_is_an_address_without_credentials(
    address: str, words: str, tmp_path: Path
) -> None:
    variables = {"CLOCHE_HOME": str(tmp_path), "CLOCHE_ENVIRONMENTS_PYTORCH_INDEX": address}
    with pytest.raises(ErrorGroup) as caught:
        machine.load(variables)
    assert words in str(caught.value.to_dict())
    assert "secret" not in str(caught.value.to_dict())


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("hosts", '"a b"'), ("hosts", '"http://x"'), ("hosts", '"x:80"'), ("hosts", "[7]"),
        ("hosts", '"*"'), ("cors", '"x"'), ("cors", '"https://x/path"'), ("cors", "true"),
        ("cors", '"https://*.x"'),
    ],
)  # fmt: skip
def test_a_wrong_host_or_origin_is_told(setting: str, value: str, tmp_path: Path) -> None:
    HomeLayout(tmp_path).config.write_text(f"[gateway]\n{setting} = {value}\n")
    with pytest.raises(ErrorGroup) as caught:
        machine.load({"CLOCHE_HOME": str(tmp_path)})
    assert f"gateway.{setting}: " in str(caught.value.to_dict())
