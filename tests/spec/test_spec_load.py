"""What a user may write in a cloche.yaml, and what is said about the rest."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloche import artifacts, spec
from cloche.artifacts import Autoscale, Expose, Exposure, Gpu, Operated, ReplicaRange
from cloche.errors import ErrorGroup, UsageError
from cloche.spec import Batching, Resources, Rollout, Server, ServiceSpec, written
from cloche.spec.document import MAX_BYTES

FULL = """\
name: resnet50
model: models:/resnet50@champion
batching:
  max_batch_size: 32
  max_queue_delay: 1ms
  preferred_batch_sizes: [16, 8, 8]
  max_queue_size: 256
  queue_timeout: 1.5s
instances: 2
resources: {cpu: 500m, memory: 4Gi}
replicas: {min: 3, max: 3}
start_timeout: 30m
rollout: {keep: 5}
server:
  parameters: {intra_op_thread_count: 2}
  warmup: false
  graph_optimization: basic
  release: "26.05"
"""

AT_PROD = """\
model: x
targets:
  prod: {kind: kubernetes, context: c, namespace: n, registry: r/v,
    """


def mistakes(text: str) -> tuple[UsageError, ...]:
    with pytest.raises(ErrorGroup) as caught:
        spec.parse(text, where="cloche.yaml")
    assert caught.value.exit_code == 2
    assert all(isinstance(error, UsageError) for error in caught.value.errors)
    return tuple(caught.value.errors)  # type: ignore[arg-type]


def test_everything_that_is_served() -> None:
    assert spec.parse(FULL) == ServiceSpec(
        name="resnet50",
        model="models:/resnet50@champion",
        batching=Batching.model_construct(
            max_batch_size=32,
            max_queue_delay=1_000,
            preferred_batch_sizes=(8, 16),
            max_queue_size=256,
            queue_timeout=1_500_000,
        ),
        instances=2,
        resources=Resources.model_construct(cpu=0.5, memory=4 * 2**30),
        replicas=3,
        start_timeout="30m",
        rollout=Rollout(keep=5),
        server=Server(
            parameters={"intra_op_thread_count": "2"},
            warmup=False,
            graph_optimization="basic",
            release="26.05",
        ),
    )


def test_a_revision_is_made_of_what_is_served_and_not_of_how_it_is_operated() -> None:
    full = spec.parse(FULL)
    assert full.served() == artifacts.Served(
        batching=artifacts.Batching(
            max_batch_size=32,
            max_queue_delay=1_000,
            preferred_batch_sizes=(8, 16),
            max_queue_size=256,
            queue_timeout=1_500_000,
        ),
        instances=2,
        resources=artifacts.Resources(cpu=0.5, memory=4 * 2**30),
        server=artifacts.ServerOptions(
            parameters={"intra_op_thread_count": "2"},
            warmup=False,
            graph_optimization="basic",
            release="26.05",
        ),
    )
    assert written.served(full.served()) == {
        "batching.max_batch_size": 32,
        "batching.max_queue_delay": "1ms",
        "batching.preferred_batch_sizes": [8, 16],
        "batching.max_queue_size": 256,
        "batching.queue_timeout": "1500ms",
        "instances": 2,
        "resources.cpu": "500m",
        "resources.memory": "4Gi",
        "server.parameters.intra_op_thread_count": "2",
        "server.warmup": False,
        "server.graph_optimization": "basic",
        "server.release": "26.05",
    }
    assert full.operated() == Operated(
        replicas=ReplicaRange.exactly(3), start_timeout=1800.0, keep=5
    )
    assert written.operated(full.operated()) == {
        "replicas": 3, "start_timeout": "30m", "rollout.keep": 5,
    }  # fmt: skip
    assert artifacts.asked_for(spec.parse("model: x").served()) == {}
    assert artifacts.asked_for(spec.parse("model: x\nexample: ./x.json").served()) == {}
    assert spec.parse("model: x").operated() == Operated()
    assert spec.parse("model: x\nreplicas: 1").operated() == Operated(ReplicaRange(1, 1))
    ranged = spec.parse("model: x\nreplicas: 1..4\nautoscale: {queue_time: 5ms}").operated()
    assert ranged == Operated(ReplicaRange(1, 4), autoscale=Autoscale(queue_time=0.005))
    assert written.operated(ranged) == {"replicas": "1..4", "autoscale.queue_time": "5ms"}


def test_a_target_says_what_differs_there() -> None:
    given = spec.parse(
        f"{AT_PROD}expose: gateway, gateway: public, host: x.example, replicas: 3,"
        " tolerations: [{key: gpu, operator: Exists}], resources: {limits: {memory: 6Gi}}}"
    )
    place = given.targets["prod"].place("prod")
    assert (place.context, place.namespace, place.registry) == ("c", "n", "r/v")
    assert place.exposure == Exposure(Expose.GATEWAY, "n/public", "x.example")
    assert place.pods.tolerations == ({"key": "gpu", "operator": "Exists"},)
    assert (place.pods.cpu_limit, place.pods.memory_limit) == (None, 6 * 2**30)
    assert given.operated().replicas is None
    assert given.at("prod").operated().replicas == ReplicaRange.exactly(3)


def test_gpus_of_a_service_and_of_its_targets() -> None:
    whole, part = Gpu(), Gpu(1, "nvidia.com/mig-1g.10gb")
    assert spec.parse("model: x\nresources: {gpu: 1}").served().resources.gpu == whole
    slices = f"{AT_PROD}resources: {{gpu: {{resource: nvidia.com/mig-1g.10gb}}}}}}"
    given = spec.parse(f"{slices}\nresources: {{gpu: 2}}")
    assert given.served().resources.gpu == Gpu(2)
    assert given.at("prod").served().resources.gpu == part
    assert written.served(given.served()) == {"resources.gpu": 2}
    assert written.served(given.at("prod").served()) == {
        "resources.gpu": {"resource": part.resource, "count": 1}
    }
    none = spec.parse(f"{AT_PROD}resources: {{gpu: 0}}}}\nresources: {{gpu: 1}}").at("prod")
    assert artifacts.asked_for(none.served()) == {}
    assert spec.parse(spec.to_yaml(given)).written() == given.written()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("batching: {max_queue_delay: 1ms}", "batching: {max_queue_delay: 1000us}"),
        ("resources: {memory: 1Gi}", "resources: {memory: 1024Mi}"),
        ("resources: {cpu: 0.5}", "resources: {cpu: 500m}"),
        ("resources: {cpu: 2}", "resources: {cpu: '2.0'}"),
        ("resources: {}", "instances:"),
        ("replicas: 1", "replicas: {min: 1, max: 1}"),
        ("batching: {preferred_batch_sizes: [4, 2]}", "batching: {preferred_batch_sizes: [2, 4]}"),
        ("batching: {preferred_batch_sizes: []}", "batching: {}"),
        ("server: {parameters: {a: 1, b: 2}}", "server: {parameters: {b: '2', a: '1'}}"),
    ],
)
def test_the_same_thing_written_otherwise_is_the_same(one: str, other: str) -> None:
    first, second = (spec.parse(f"model: x\n{text}\n") for text in (one, other))
    assert first.served() == second.served()


@pytest.mark.parametrize(
    ("text", "code", "line", "hint"),
    [
        ("modle: x\nmodel: y", "spec.unknown", 1, "`model`"),
        ("model: y\nmax_batch_size: 3", "spec.unknown", 2, "`batching.max_batch_size`"),
        ("model: y\nbatching:\n  max-batch-size: 3", "spec.unknown", 3, "`batching.max_batch"),
        ("model: y\n<<: {a: 1}", "spec.unknown", 2, "Merge keys"),
        ("model: y\nzzz: 1", "spec.unknown", 2, "The keys here are name, model"),
        ("name: y", "spec.missing", 1, "models:/NAME@ALIAS"),
        ("model: x\nmodel: y", "spec.duplicate", 2, "Keep one"),
        ("model: x\nname: My_Model", "spec.value", 2, "name: my-model"),
        ("model: x\nname: ——", "spec.value", 2, "such as my-model"),
        ("model: ''", "spec.value", 1, "models:/NAME@ALIAS"),
        ("model: 3", "spec.value", 1, "quotes"),
        ("model: x\ninstances: 0", "spec.value", 2, "Write 1 or more"),
        ("model: x\ninstances: 1.5", "spec.value", 2, "such as 2"),
        ("model: x\ninstances: yes", "spec.value", 2, "such as 2"),
        ("model: x\nbatching: 32", "spec.value", 2, "below it"),
        ("model: x\nbatching: {max_queue_delay: 5}", "spec.value", 2, "5ms"),
        ("model: x\nbatching: {max_queue_delay: 5 sec}", "spec.value", 2, "Write 5s"),
        ("model: x\nbatching: {max_queue_delay: 5Mi}", "spec.value", 2, "500us"),
        ("model: x\nbatching: {queue_timeout: 0s}", "spec.value", 2, "10s"),
        ("model: x\nbatching: {queue_timeout: 3d}", "spec.value", 2, "24h"),
        (
            "model: x\nbatching: {max_batch_size: 4, preferred_batch_sizes: [8]}",
            "spec.value",
            2,
            "at most 4",
        ),
        (
            "model: x\nbatching: {max_batch_size: 0, max_queue_delay: 1ms}",
            "spec.value",
            1,
            "raise max_batch_size",
        ),
        ("model: x\nresources: {memory: 4}", "spec.value", 2, "4Gi"),
        ("model: x\nresources: {memory: 4gb}", "spec.value", 2, "Write 4Gi"),
        ("model: x\nresources: {memory: 500m}", "spec.value", 2, "500Mi"),
        ("model: x\nresources: {cpu: two}", "spec.value", 2, "500m"),
        ("model: x\nresources: {cpu: .inf}", "spec.value", 2, "500m"),
        ("model: x\nreplicas: {min: 4, max: 1}", "spec.value", 2, "max that is not below"),
        ("model: x\nreplicas: 0", "spec.value", 2, "1 or more"),
        ("model: x\nreplicas: {min: -1, max: 1}", "spec.value", 2, "0 or more"),
        ("model: x\nreplicas: {min: 1, max: two}", "spec.value", 2, "such as 2"),
        ("model: x\nreplicas: true", "spec.value", 2, "such as 2"),
        ("model: x\nreplicas: 1001", "spec.value", 2, "1000 or less"),
        ("model: x\nstart_timeout: 10ms", "spec.value", 2, "5m or 30m"),
        ("model: x\nclass: Net", "spec.value", 2, "torchvision.models.resnet50"),
        ('model: x\npython: "3"', "spec.value", 2, '"3.12"'),
        ("model: x\ntolerance: 0", "spec.value", 2, "1e-3"),
        ("model: x\ntolerance: 2e-2", "spec.value", 2, "at most 0.01"),
        ("model: x\ntolerance: tight", "spec.value", 2, "1e-3"),
        ("model: x\ntolerance: .nan", "spec.value", 2, "1e-3"),
        ("model: x\nrollout: {keep: 0}", "spec.value", 2, "1 or more"),
        ("model: x\nrollout: {steps: [5%]}", "spec.not_served", 2, "all traffic at once"),
        ("model: x\nrollout: {kep: 3}", "spec.unknown", 2, "rollout.keep"),
        ("model: x\nreplicas: {min: 1}", "spec.value", 2, "replicas: 2"),
        ("model: x\nserver: {warmup: 1}", "spec.value", 2, "true or false"),
        ("model: x\nserver: {graph_optimization: full}", "spec.value", 2, "'extended'"),
        ("model: x\nserver: {parameters: {a b: 1}}", "spec.value", 2, "letters"),
        ("model: x\nserver: {parameters: {a: true}}", "spec.value", 2, "Write 1 and 0"),
        ("model: x\nserver: {parameters: {EXECUTION_ENV_PATH: /x}}", "spec.value", 2, "Remove"),
        ("model: x\nfollow: true", "spec.not_served", 2, "Remove"),
        ("model: x\nresources: {gpu: true}", "spec.value", 2, "gpu: 1"),
        ("model: x\nresources: {gpu: 65}", "spec.value", 2, "gpu: 1"),
        ("model: x\nresources: {gpu: a lot}", "spec.value", 2, "gpu: 1"),
        ("model: x\nresources: {gpu: {size: 1g}}", "spec.value", 2, "resource: nvidia.com/mig"),
        ("model: x\nresources: {gpu: {resource: mig-1g.10gb}}", "spec.value", 2, "nvidia.com/mig"),
        ("model: x\nresources: {gpu: {count: -1}}", "spec.value", 2, "gpu: 1"),
        (f"{AT_PROD}resources: {{gpus: 1}}}}", "spec.unknown", 4, "gpu"),
        (f"{AT_PROD}autoscale: {{}}}}", "spec.value", 4, "requests_per_second: 100"),
        (f"{AT_PROD}autoscale: {{queue_tme: 5ms}}}}", "spec.unknown", 4, "queue_time"),
        (f"{AT_PROD}prometheus_url: ftp://x}}", "spec.value", 4, "http://"),
        (f"{AT_PROD}replicas: 2..4}}", "spec.value", 1, "autoscale: {requests_per_second: 100}"),
        (f"{AT_PROD}autoscale: {{queue_time: 5ms}}}}", "spec.value", 1, "{min: 2, max: 10}"),
        ("model: x\nreplicas: 4..2", "spec.value", 2, "a max that is not below min"),
        ("model: x\nreplicas: 1..4", "spec.value", 1, "autoscale: {requests_per_second: 100}"),
        ("model: x\nautoscale: {queue_time: 5ms}", "spec.value", 1, "{min: 2, max: 10}"),
        ("model: x\nautoscale:\n  gpu_utilization: 70", "spec.value", 3, "70%"),
        ("model: x\nautoscale:\n  gpu_utilization: 700%", "spec.value", 3, "70%"),
        ("model: x\nautoscale:\n  requests_per_second: 0", "spec.value", 3, "such as 100"),
        ("model: x\nreplicas: 0..4\nautoscale: {queue_time: 5ms}", "spec.value", 1, "min: 1"),
        (f"{AT_PROD}tolerationz: []}}", "spec.unknown", 4, "tolerations"),
        (f"{AT_PROD}resources: {{limits: {{cpus: 1}}}}}}", "spec.unknown", 4, "limits.cpu"),
        (f"{AT_PROD}labels: {{cloche.dev/x: y}}}}", "spec.value", 4, "Remove"),
        (f"{AT_PROD}labels: {{'a b': y}}}}", "spec.value", 4, "letters"),
        (f"{AT_PROD}expose: gateway}}", "spec.value", 3, "gateway: NAMESPACE/NAME"),
        (f"{AT_PROD}host: x.example}}", "spec.value", 3, "expose: gateway"),
        (f"{AT_PROD}tolerations: [{{value: a}}]}}", "spec.value", 4, "its key"),
        ("model: x\nname: !!python/object:os.system y", "spec.tag", 2, "Remove"),
        ("model: x\nbatching:\n\tmax_batch_size: 3", "spec.syntax", 3, "spaces"),
        ("model: [x", "spec.syntax", 1, "key: value"),
        ("model: x\nname: @y", "spec.syntax", 2, "quote"),
        ("model: *x", "spec.syntax", 1, "&"),
        ("model: &a [*a]", "spec.syntax", 1, "&"),
        ("model: x\x07", "spec.syntax", 1, "UTF-8"),
        ("? [a]\n: b", "spec.syntax", 1, None),
        ("model: x\n---\nmodel: y", "spec.documents", 2, "its own file"),
        ("", "spec.empty", None, "cloche init"),
        ("# only a comment\n---\n", "spec.empty", None, "cloche init"),
        ("- model: x", "spec.not_a_mapping", 1, "keys"),
        ("./model.onnx", "spec.not_a_mapping", 1, "keys"),
    ],
)
def test_one_mistake(text: str, code: str, line: int | None, hint: str | None) -> None:
    (error,) = mistakes(text)
    assert error.code == code
    assert error.where == (f"cloche.yaml:{line}" if line else "cloche.yaml")
    assert hint is None or hint in (error.hint or "")


def test_all_mistakes_at_once_in_the_order_of_the_file() -> None:
    text = "model: x\nname: A\nslo: {}\nbatching:\n  max_queue_delay: 1\n  size: 3\ninstances: -1\n"
    found = [(error.code, error.where) for error in mistakes(text)]
    assert found == [
        ("spec.value", "cloche.yaml:2"),
        ("spec.not_served", "cloche.yaml:3"),
        ("spec.value", "cloche.yaml:5"),
        ("spec.unknown", "cloche.yaml:6"),
        ("spec.value", "cloche.yaml:7"),
    ]


def test_aliases_are_read_but_do_not_multiply() -> None:
    text = "model: &m ./x.onnx\nserver: {parameters: {a: *m}}\n"
    assert spec.parse(text).server.parameters == {"a": "./x.onnx"}
    bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n"
    bomb += "".join(f"a{n + 1}: &a{n + 1} [{','.join([f'*a{n}'] * 9)}]\n" for n in range(20))
    assert mistakes(bomb)[0].code == "spec.too_large"


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (None, "spec.not_found"),
        (b"\x00\xff\xfe" * 9, "spec.encoding"),
        (b"a" * (MAX_BYTES + 1), "spec.too_large"),
        (b"[" * MAX_BYTES, "spec.too_large"),
        (b"{a: " * 2000, "spec.too_large"),
    ],
)
def test_a_file_that_cannot_be_read(tmp_path: Path, data: bytes | None, code: str) -> None:
    path = tmp_path / "cloche.yaml"
    if data is not None:
        path.write_bytes(data)
    with pytest.raises((ErrorGroup, UsageError)) as caught:
        spec.load(path)
    group = caught.value
    assert (group.errors[0] if isinstance(group, ErrorGroup) else group).code == code
    assert str(path) in ((group.errors[0] if isinstance(group, ErrorGroup) else group).where or "")


def test_a_folder_in_place_of_a_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        spec.load(tmp_path)
    assert caught.value.hint == f"Name {tmp_path / 'cloche.yaml'}."


PIECES = (
    *("model", "name", "batching", ":", " ", "\n", "  ", "- ", "{", "}", "[", "]", ",", "&a", "*a"),
    *("!x", "|", ">", "'", '"', "\t", "---", "...", "%", "1ms", "? ", "#"),
)


@settings(max_examples=300, deadline=None)
@given(
    st.one_of(
        st.text(max_size=200),
        st.lists(
            st.sampled_from(PIECES),
            max_size=40,
        ).map("".join),
    )
)
def test_no_text_ends_in_anything_but_a_spec_or_a_clear_error(text: str) -> None:
    errors: tuple[Exception, ...] = ()
    try:
        spec.parse(text)
    except ErrorGroup as group:
        errors = group.errors
    assert all(isinstance(error, UsageError) and error.where for error in errors)


@pytest.mark.parametrize("release", ["26.05", '"26.13"', '"26.7"', "latest", "[1]"])
def test_what_is_no_release_of_triton(release: str) -> None:
    """Without quotes it is a number, of which 26.10 would be 26.1."""
    (error,) = mistakes(f"model: x\nserver: {{release: {release}}}\n")
    assert "year and month" in error.what
    assert error.hint == 'Write one in quotes, such as "26.05".'


def test_the_schema_alone_reads_the_texts_of_the_keys() -> None:
    """To read them takes a third of the time that the spec takes to be imported."""
    assert ServiceSpec.model_fields["model"].description is None
    described = spec.json_schema()
    assert described["properties"]["model"]["description"].startswith("Where the model is")
    assert described["$defs"]["Server"]["properties"]["warmup"]["description"]
    assert described["properties"]["class"]["description"].startswith("For a file of weights")
