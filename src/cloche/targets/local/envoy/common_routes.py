"""The routes that ordinary services have in common, so that the tables of many stay small.

Whole tables are written and read when one service changes. So what differs between ordinary
services is not in routes, but in the *specifiers* that their few routes name, which choose the
cluster when the route is chosen: for inference by the model's name a map, which Envoy's matcher
searches; for all that is rarer a script, whose entry for a service is one line. They send what is
for no ordinary service to the gateway's own answers.

https://www.envoyproxy.io/docs/envoy/latest/configuration/http/cluster_specifier/cluster_specifier
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from cloche.targets.local.envoy import clusters, revision_routes, scripts
from cloche.targets.local.envoy.clusters import ANSWERS
from cloche.targets.local.envoy.revision_routes import REVISION_HEADER
from cloche.targets.local.envoy.services import ClusterName, plain_owners

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cloche.settings import Settings
    from cloche.targets.local.envoy.services import GatewayState, ServiceRoutes

Json = dict[str, Any]

HTTP_INFERENCE = "cloche.http.inference"
"""Chooses by the whole path of an inference."""
HTTP_CALLS = "cloche.http.calls"
"""Chooses by host, headers and path."""
GRPC_MODELS = "cloche.grpc.models"
"""Chooses by the model's name in the first message."""
GRPC_REVISIONS = "cloche.grpc.revisions"
"""Chooses by the model's name in the first message and the header of the revision."""
GRPC_CALLS = "cloche.grpc.calls"
"""Chooses by host and headers."""

_SPECIFIERS = "type.googleapis.com/envoy.extensions.router.cluster_specifiers"
_INPUTS = "type.googleapis.com/envoy"
_HEADER = f"{_INPUTS}.type.matcher.v3.HttpRequestHeaderMatchInput"
_FILTER_STATE = f"{_INPUTS}.extensions.matching.common_inputs.network.v3.FilterStateInput"


@dataclass(frozen=True, slots=True)
class CommonRoutes:
    """The services of a state that have their routes in common, and those with routes of their own.

    `owned` has, of the names that lead to a service by themselves, those of the former.
    """

    services: tuple[ServiceRoutes, ...]
    others: tuple[ServiceRoutes, ...]
    owned: dict[str, ServiceRoutes]
    renamed: dict[str, ServiceRoutes]
    """Those in `owned` by which the servers do not know the models."""
    others_owned: dict[str, ServiceRoutes]
    as_streams: bool
    """Whether each ModelInfer to one of the services is passed on as a stream."""


def divide(state: GatewayState) -> CommonRoutes:
    """Return which services of a state have their routes in common."""
    as_streams = any(_as_streams(service) for service in state.services)
    services = tuple(
        each for each in state.services if _is_ordinary(each) and _as_streams(each) is as_streams
    )
    names = {service.name for service in services}
    owned, others_owned = dict[str, "ServiceRoutes"](), dict[str, "ServiceRoutes"]()
    for name, owner in sorted(plain_owners(state).items()):
        (owned if owner.name in names else others_owned)[name] = owner
    others = tuple(service for service in state.services if service.name not in names)
    renamed = {name: owner for name, owner in owned.items() if owner.server_name(name) is not None}
    return CommonRoutes(services, others, owned, renamed, others_owned, as_streams)


def _as_streams(service: ServiceRoutes) -> bool:
    return any(revision.as_streams for revision in service.revisions)


def _is_ordinary(service: ServiceRoutes) -> bool:
    """Return whether one revision gets all traffic, and nothing of the routes is its own."""
    return (
        sum(revision.weight > 0 for revision in service.revisions) == 1
        and service.timeout is None
        and not service.numbered
        and not any(revision.stateful or revision.decoupled for revision in service.revisions)
    )


def to(specifier: str, settings: Settings, *, stream: bool) -> Json:
    """Return where a route in common leads: the specifier chooses the cluster."""
    action = revision_routes.lasting(settings.gateway_request_timeout, stream=stream)
    revision = {"key": REVISION_HEADER, "value": _of_cluster(clusters.REVISION)}
    return {
        "route": action | {"cluster_specifier_plugin": specifier},
        "response_headers_to_add": [{"header": revision}],
    }


def with_known_model(route: Json) -> Json:
    """Return a route of inference whose path has the name by which the server knows the model."""
    path = f"/v2/models/{_of_cluster(clusters.MODEL)}/infer"
    return {**route, "route": {**route["route"], "path_rewrite": path}}


def _of_cluster(key: str) -> str:
    """Return the command that stands for a value of the chosen cluster's metadata."""
    return f"%METADATA(CLUSTER:{clusters.METADATA}:{key})%"


def http_specifiers(common: CommonRoutes) -> list[Json]:
    """Return the specifiers of the routes of HTTP; empty if no service has them."""
    if not common.services:
        return []
    lines = [_line(service, common) for service in common.services]
    paths = {
        f"/v2/models/{quote(name, safe='')}/infer": _action(_live(owner, "http"))
        for name, owner in common.owned.items()
    }
    found = [_script(HTTP_CALLS, "http", lines)]
    return [*found, _matcher(HTTP_INFERENCE, _header(":path"), paths)] if paths else found


def grpc_specifiers(common: CommonRoutes) -> list[Json]:
    """Return the specifiers of the routes of gRPC; empty if no service has them."""
    if not common.services:
        return []
    found = [_script(GRPC_CALLS, "grpc", [_line(service) for service in common.services])]
    if not common.owned:
        return found
    by_state = {revision_routes.state_of(name): owner for name, owner in common.owned.items()}
    live = {state: _action(_live(owner, "grpc")) for state, owner in by_state.items()}
    revisions = {state: _by_revision(owner, "grpc") for state, owner in by_state.items()}
    model = _input(_FILTER_STATE, key=revision_routes.MODEL_STATE)
    return [
        *found,
        _matcher(GRPC_MODELS, model, live),
        _matcher(GRPC_REVISIONS, model, revisions),
    ]


def _live(service: ServiceRoutes, protocol: str) -> str:
    return str(ClusterName(service.name, _live_revision(service), protocol))


def _live_revision(service: ServiceRoutes) -> int:
    return next(each.revision for each in service.revisions if each.weight > 0)


# ── the matcher ───────────────────────────────────────────────────────────────────────────────


def _matcher(name: str, by: Json, actions: Mapping[str, Json]) -> Json:
    specifier = {
        "@type": f"{_SPECIFIERS}.matcher.v3.MatcherClusterSpecifier",
        "cluster_matcher": _tree(by, actions),
    }
    return {"extension": {"name": name, "typed_config": specifier}}


def _tree(by: Json, actions: Mapping[str, Json]) -> Json:
    tree = {"input": by, "exact_match_map": {"map": dict(actions)}}
    return {"matcher_tree": tree, "on_no_match": _action(ANSWERS)}


def _by_revision(service: ServiceRoutes, protocol: str) -> Json:
    actions = {
        str(each.revision): _action(str(ClusterName(service.name, each.revision, protocol)))
        for each in service.revisions
    }
    return {"matcher": _tree(_header(REVISION_HEADER), actions)}


def _action(cluster: str) -> Json:
    action = {"@type": f"{_SPECIFIERS}.matcher.v3.ClusterAction", "cluster": cluster}
    return {"action": {"name": "cluster", "typed_config": action}}


def _header(name: str) -> Json:
    return _input(_HEADER, header_name=name)


def _input(kind: str, **fields: str) -> Json:
    return {"name": "input", "typed_config": {"@type": kind, **fields}}


# ── the script ────────────────────────────────────────────────────────────────────────────────


def _script(name: str, protocol: str, lines: Iterable[str]) -> Json:
    constants = [f"local PROTOCOL, ANSWERS = {_text(protocol)}, {_text(ANSWERS)}"]
    code = "\n".join([*constants, scripts.joined("named_service.lua", "choosing.lua"), *lines])
    specifier = {
        "@type": f"{_SPECIFIERS}.lua.v3.LuaConfig",
        "source_code": {"inline_string": code},
        "default_cluster": ANSWERS,
    }
    return {"extension": {"name": name, "typed_config": specifier}}


def _line(service: ServiceRoutes, common: CommonRoutes | None = None) -> str:
    """Return the line of a service; with the names of its models, where these are in the path."""
    live = str(_live_revision(service))
    values = [_text(service.name), live, _list(str(r.revision) for r in service.revisions)]
    if common is not None:
        owned = [name for name in service.plain if common.owned.get(name) is service]
        values += [_list(map(_in_path, service.models)), _list(map(_in_path, owned))]
    return f"serve({', '.join(values)})"


def _in_path(model: str) -> str:
    return _text(quote(model, safe=""))


def _list(values: Iterable[str]) -> str:
    return "{" + ", ".join(values) + "}"


def _text(value: str) -> str:
    # Names of services and quoted names have only characters that stand for themselves.
    return f'"{value}"'
