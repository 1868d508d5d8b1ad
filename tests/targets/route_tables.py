"""Reads route tables as Envoy does: where a request is sent."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from lupa.luajit21 import LuaRuntime

from cloche.targets.local.envoy import renaming
from cloche.targets.local.envoy.revision_routes import MODEL_STATE, state_of
from cloche.targets.local.envoy.services import Endpoint, RevisionEndpoints, ServiceRoutes

Json = dict[str, Any]

ENDPOINT = Endpoint("127.0.0.1:18001", "127.0.0.1:18002")


def service(name: str, *models: str, weights: tuple[int, ...] = (100,)) -> ServiceRoutes:
    """Return a service whose models' names all lead to it."""
    revisions = tuple(
        RevisionEndpoints(number, weight, (ENDPOINT,))
        for number, weight in enumerate(weights, start=1)
    )
    names = models or (name,)
    return ServiceRoutes(name, names, revisions, plain=names)


def everyone(table: Json) -> list[Json]:
    """Return the routes under any host."""
    found: list[Json] = table["virtual_hosts"][0]["routes"]
    return found


def routes_of(table: Json, host: str) -> list[Json]:
    """Return the routes under a host: an exact name comes before a pattern, `*` last."""
    hosts = {each["domains"][0]: each["routes"] for each in table["virtual_hosts"]}
    by_pattern = hosts["*.localhost"] if host.endswith(".localhost") else hosts["*"]
    found: list[Json] = hosts.get(host, by_pattern)
    return found


def leads_to(table: Json, path: str, given: dict[str, str] | None = None) -> dict[str, int]:
    """Return the clusters to which Envoy sends a request over HTTP/1.1, and their shares."""
    given = dict(given or {})
    routes = routes_of(table, given.get("host", ""))
    return _led(table, (route for route in routes if "grpc" not in route["match"]), path, given)


def seen_path(table: Json, path: str, given: dict[str, str], models: dict[str, str]) -> str:
    """Return the path as the server sees it; `models` are those of services, in paths."""
    routes = routes_of(table, given.get("host", ""))
    http = (route for route in routes if "grpc" not in route["match"])
    route = next(route for route in http if matches(route, path, given))
    led = next(iter(leads_to(table, path, given)))
    action, bare = route["route"], path.partition("?")[0]
    if "prefix_rewrite" in action:
        return str(action["prefix_rewrite"]) + path.removeprefix(bare)
    if "path_rewrite" in action:
        model = models[led.partition(".")[0]]
        rewritten: str = action["path_rewrite"].replace("%METADATA(CLUSTER:cloche:model)%", model)
        return rewritten + path.removeprefix(bare)
    config = route.get("typed_per_filter_config", {}).get(renaming.FILTER)
    if config is None:
        return path
    name = path.split("/")[3].partition("?")[0]
    return path.replace(name, config["filter_context"][name]["path"], 1)


def call_leads_to(
    table: Json, call: str, model: str, given: dict[str, str] | None = None
) -> dict[str, int]:
    """Return the clusters to which Envoy sends a call over gRPC, and their shares."""
    given, path = dict(given or {}), f"/inference.GRPCInferenceService/{call}"
    routes = [r for r in routes_of(table, given.get("host", "")) if "grpc" in r["match"]]
    first = next(route for route in routes if matches(route, path, given))
    reading = first.get("typed_per_filter_config", {}).get("envoy.filters.http.set_filter_state")
    if reading is not None and not reading["disabled"]:
        given |= {MODEL_STATE: state_of(model)}
    return _led(table, routes, path, given)


def _led(table: Json, routes: Iterable[Json], path: str, given: dict[str, str]) -> dict[str, int]:
    route = next(route for route in routes if matches(route, path, given))
    specifier = route.get("route", {}).get("cluster_specifier_plugin")
    if specifier is None:
        return targets(route)
    sent = given | {":path": path, ":authority": given.get("host", "")}
    return {specified(table, specifier, sent): 100}


def targets(route: Json) -> dict[str, int]:
    """Return the clusters that a route names itself, and their shares."""
    action = route.get("route", {})
    if "weighted_clusters" in action:
        return {each["name"]: each["weight"] for each in action["weighted_clusters"]["clusters"]}
    return {action["cluster"]: 100} if "cluster" in action else {}


def matches(route: Json, path: str, given: dict[str, str] | None = None) -> bool:
    """Return whether Envoy takes a route for a path with its query, and for headers if given."""
    match, bare = route["match"], path.partition("?")[0]
    found = (
        bare == match.get("path")
        or bare.startswith(match.get("prefix", "\0"))
        or f"{bare}/".startswith(match.get("path_separated_prefix", "\0") + "/")
        or re.fullmatch(match.get("safe_regex", {}).get("regex", "\0"), bare) is not None
    )
    sent = {":path": path} if given is None else given | {":path": path}
    states = [{"name": each["key"], **each} for each in match.get("filter_state", [])]
    return found and all(
        (each["name"] != ":path" and given is None) or _has(each, sent)
        for each in [*match.get("headers", []), *states]
    )


def _has(matcher: Json, sent: dict[str, str]) -> bool:
    value, wanted = sent.get(matcher["name"]), matcher.get("string_match", {})
    if matcher.get("treat_missing_header_as_empty"):
        value = value or ""
    if "exact" in wanted:
        return value == wanted["exact"]
    if "prefix" in wanted:
        return value is not None and value.startswith(wanted["prefix"])
    if "safe_regex" in wanted:
        return value is not None and bool(re.fullmatch(wanted["safe_regex"]["regex"], value))
    if "custom" in wanted:
        lua = LuaRuntime()
        lua.execute(wanted["custom"]["typed_config"]["source_code"]["inline_string"])
        return value is not None and lua.globals().envoy_match(value) is True
    return (value is not None) != matcher.get("invert_match", False)


def specified(table: Json, name: str, sent: dict[str, str]) -> str:
    """Return the cluster that a specifier chooses for headers and filter state."""
    found = {
        each["extension"]["name"]: each["extension"]["typed_config"]
        for each in table["cluster_specifier_plugins"]
    }
    specifier = found[name]
    if "cluster_matcher" in specifier:
        return _matched(specifier["cluster_matcher"], sent)
    lua = LuaRuntime()
    lua.execute(specifier["source_code"]["inline_string"])
    handle = lua.eval(
        "function(get) return { headers = function()"
        " return { get = function(_, name) return get(name) end } end } end"
    )
    cluster: str = lua.globals().envoy_on_route(handle(sent.get))
    return cluster


def _matched(matcher: Json, sent: dict[str, str]) -> str:
    tree = matcher["matcher_tree"]
    by = tree["input"]["typed_config"]
    value = sent.get(by.get("header_name") or by["key"])
    found = tree["exact_match_map"]["map"].get(value, matcher["on_no_match"])
    if "matcher" in found:
        return _matched(found["matcher"], sent)
    cluster: str = found["action"]["typed_config"]["cluster"]
    return cluster


def headers(route: Json) -> Json:
    """Return the matchers of headers of a route, by name."""
    return {each["name"]: each for each in route["match"].get("headers", [])}
