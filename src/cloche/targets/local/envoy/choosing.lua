-- Chooses the cluster of a request to one of the services that have their routes in common. The
-- lines that say which they are follow (see common_routes). A request that is for none of them goes
-- to the gateway's own answers.

local SERVICES, OWNERS = {}, {}

-- `models` are the names in paths, as they are sent, for requests that name the service, and `owned`
-- those that lead here by themselves; none where the message has the name.
local function serve(name, live, revisions, models, owned)
  local service = { live = tostring(live), revisions = {}, prefix = name .. ".r" }
  for _, revision in ipairs(revisions) do service.revisions[tostring(revision)] = true end
  if models then
    service.models = {}
    for _, model in ipairs(models) do service.models[model] = true end
    for _, model in ipairs(owned) do OWNERS[model] = service end
  end
  SERVICES[name] = service
end

local function chosen(headers)
  local model = headers:get(":path"):match("^/v2/models/([^/?]+)")
  local name = named_service(headers)
  local service = name and SERVICES[name] or not name and OWNERS[model]
  if not service or name and service.models and not service.models[model] then return nil end
  local revision = headers:get("cloche-revision") or service.live
  return service.revisions[revision] and service.prefix .. revision
end

function envoy_on_route(handle)
  local cluster = chosen(handle:headers())
  return cluster and cluster .. "." .. PROTOCOL or ANSWERS
end
