from cloche.artifacts import ModelRepository
from cloche.targets.local.envoy.services import (
    Endpoint,
    GatewayState,
    RevisionEndpoints,
    ServiceRoutes,
)
from cloche.targets.local.lifecycle import Life, Step
from cloche.targets.local.routing import Placed, gateway_state
from cloche.targets.local.supervisor import Record
from cloche.targets.target import Placement, Route


def placed(service: str, revision: int, *steps: Step, models: tuple[str, ...] = ()) -> Placed:
    repository = ModelRepository(
        service, "sha256:0", (), models or (service,), "python", (), (), max_batch_size=0
    )
    replicas = tuple(
        Record(
            f"{service}-r{revision}-{index}",
            "boot",
            Life(step),
            "",
            pid=1,
            ports=(revision * 1000 + index * 10, revision * 1000 + index * 10 + 1, 0),
        )
        for index, step in enumerate(steps)
    )
    return Placed(Placement(service, revision, repository, len(steps)), replicas)


def test_endpoints_follow_readiness() -> None:
    steps = (Step.STARTING, Step.READY, Step.UNREADY, Step.DRAINING, Step.ENDING)
    state = gateway_state([Route("a", 1, 100)], [placed("a", 1, *steps)])
    assert state.services[0].revisions[0].endpoints == (Endpoint(1010, 1011),)


def test_revisions_share_a_service_and_the_heaviest_names_its_first_model() -> None:
    routes = [Route("b", 2, 75), Route("a", 1, 100), Route("b", 1, 25), Route("c", 1, 100)]
    state = gateway_state(
        routes,
        [
            placed("a", 1, Step.READY),
            placed("b", 1, Step.READY, models=("b", "b.old")),
            placed("b", 2, models=("b", "b.new")),
            placed("d", 1, Step.READY),
        ],
    )
    assert state == GatewayState(
        (
            ServiceRoutes("a", ("a",), (RevisionEndpoints(1, 100, (Endpoint(1000, 1001),)),)),
            ServiceRoutes(
                "b",
                ("b", "b.new", "b.old"),
                (RevisionEndpoints(1, 25, (Endpoint(1000, 1001),)), RevisionEndpoints(2, 75)),
            ),
        )
    )
