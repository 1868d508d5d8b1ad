"""The bill of materials: what its own library reads back, and its JSON schema."""

from __future__ import annotations

import json
from dataclasses import replace

from cyclonedx.schema import SchemaVersion

from cloche.artifacts import Deployment, Lock
from cloche.images import sbom
from cloche.images.bases.base import Base

DIGEST = "sha256:" + "a" * 64
LOCK = Lock(
    "sha256:" + "b" * 64, "3.12",
    "numpy==1.26.4 \\\n    --hash=sha256:1\nScikit_Learn==1.5.2\nown @ https://example.com/o.whl\n",
)  # fmt: skip


def composed(deployment: Deployment, base: Base) -> dict:
    text = sbom.compose(deployment, base, DIGEST).decode()
    # Its import takes seconds, which each process that collects tests would wait for.
    from cyclonedx.validation.json import JsonStrictValidator

    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    return json.loads(text)


def with_lock(deployment: Deployment, lock: Lock, digest: str | None) -> Deployment:
    """The deployment with a lock; `digest` is that of the environment that its model asks for."""
    repository = deployment.repository
    return replace(
        deployment,
        members=(replace(deployment.main, lock=lock),),
        repository=replace(
            repository, members=(replace(repository.main, lock_digest=digest),)
        ),
    )  # fmt: skip


def test_it_names_the_image_its_base_its_model_and_its_packages(deployment, base):
    bill = composed(with_lock(deployment, LOCK, LOCK.digest), base)
    image = bill["metadata"]["component"]
    assert (image["name"], image["hashes"][0]["content"]) == ("scores", "a" * 64)
    found = {part["name"]: part for part in bill["components"]}
    assert found["example.com/triton:26.07"]["type"] == "container"
    model = found["scores"]
    assert model["type"] == "machine-learning-model"
    assert f"sha256:{model['hashes'][0]['content']}" == deployment.main.snapshot.digest
    assert found["numpy"]["purl"] == "pkg:pypi/numpy@1.26.4"
    assert found["Scikit_Learn"]["purl"] == "pkg:pypi/scikit-learn@1.5.2"
    assert "version" not in found["own"]
    depends = next(each for each in bill["dependencies"] if each["ref"] == image["bom-ref"])
    assert len(depends["dependsOn"]) == len(found)


def test_packages_that_only_converted_the_model_are_not_in_the_image(deployment, base):
    bill = composed(with_lock(deployment, LOCK, None), base)
    assert not [part for part in bill["components"] if part["type"] == "library"]


def test_the_same_image_has_the_same_bill(deployment, base):
    assert sbom.compose(deployment, base, DIGEST) == sbom.compose(deployment, base, DIGEST)


def test_a_licence_is_told(deployment, base):
    main = deployment.main
    for given in ("apache-2.0", "Apache-2.0", "openrail", "see LICENSE; ours"):
        metadata = replace(main.snapshot.metadata, tags={"license": given})
        snapshot = replace(main.snapshot, metadata=metadata)
        bill = composed(replace(deployment, members=(replace(main, snapshot=snapshot),)), base)
        (model,) = (part for part in bill["components"] if part["name"] == "scores")
        (licence,) = model["licenses"]
        assert given.lower() in json.dumps(licence).lower()
