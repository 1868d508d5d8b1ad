-- Explains why a request has no route. It decides nothing: it runs in the internal listener, which
-- gets only requests without a route to a replica.

local CALLS = { [""] = true, ["/infer"] = true, ["/generate"] = true, ["/generate_stream"] = true,
                ["/ready"] = true, ["/config"] = true, ["/stats"] = true }
local METHODS = { ModelInfer = true, ModelStreamInfer = true, ModelReady = true,
                  ModelMetadata = true, ModelConfig = true, ModelStatistics = true }
local SERVER = { ["/v2"] = true, ["/v2/health/live"] = true, ["/v2/health/ready"] = true }
local PASSED = "it passes inference, ready, metadata, config and statistics of one model"
local SEE = "; `cloche status` lists what is served"
local NAME_IT = "name the service with the metadata cloche-service or the host NAME.localhost"
local SAY_SEQUENCE = "the model keeps the state of a sequence, and each of its replicas has its own"
  .. " sequences: send the header (over gRPC the metadata) cloche-sequence, with the same value in"
  .. " all requests of a sequence, such as its ID; or use a gRPC stream"
local SAY_STREAM = "ModelInfer RPC doesn't support models with decoupled transaction policy"

local INVALID_ARGUMENT, NOT_FOUND, PERMISSION_DENIED, UNIMPLEMENTED = 3, 5, 7, 12

local function path_of(headers)
  return (headers:get(":path"):gsub("%?.*$", ""))
end

-- The words are Triton's, by which its clients tell what is wrong.
local function unknown_model(name, headers)
  local service, revision = named_service(headers), headers:get("cloche-revision")
  return "Request for unknown model: '" .. name .. "' is not found"
    .. (service and (" in service '" .. service .. "'") or "")
    .. (revision and (" in revision " .. revision) or "") .. SEE
end

local function of_model(headers, name, rest)
  local version, call = rest:match("^/versions/([^/]*)(.*)$")
  if not CALLS[call or rest] then
    return 403, "the gateway does not pass " .. path_of(headers) .. ": " .. PASSED
  end
  if version and version ~= "1" then
    return 404, "model '" .. name .. "' has no version " .. version .. ": a model that Cloche"
      .. " builds is version 1; choose a revision with the header cloche-revision"
  end
  return 404, unknown_model(name, headers)
end

local function of_http(headers)
  if headers:get("cloche-lacks-sequence") then return 400, SAY_SEQUENCE end
  local path = path_of(headers)
  local name, rest = path:match("^/v2/models/([^/]+)(.*)$")
  if name and path ~= "/v2/models/stats" then return of_model(headers, name, rest) end
  if path:match("^/v2/") then
    return 403, "the gateway does not pass " .. path .. ": " .. PASSED
  end
  return 404, "nothing is at " .. path .. "; models answer at /v2/models/NAME/infer"
end

local function of_grpc(headers)
  if headers:get("cloche-lacks-sequence") then return INVALID_ARGUMENT, SAY_SEQUENCE end
  if headers:get("cloche-decoupled") then return UNIMPLEMENTED, SAY_STREAM end
  local method = path_of(headers):match("^/inference%.GRPCInferenceService/(%w+)$")
  if not method then
    return UNIMPLEMENTED, "the gateway passes calls of inference.GRPCInferenceService only"
  end
  if not METHODS[method] then
    return PERMISSION_DENIED, "the gateway does not pass " .. method .. ": " .. PASSED
  end
  local service = named_service(headers)
  local model = (headers:get("cloche-model-of-message") or ""):match('^%["(.+)"%]$')
  if model then return NOT_FOUND, unknown_model(model, headers) end
  local encoding = headers:get("grpc-encoding") or "identity"
  if encoding ~= "identity" and not service then
    return INVALID_ARGUMENT, "the model's name cannot be read from a compressed message ("
      .. encoding .. "): " .. NAME_IT
  end
  if service then
    local revision = headers:get("cloche-revision")
    return NOT_FOUND, "no service is called '" .. service .. "'"
      .. (revision and (" in revision " .. revision) or "") .. SEE
  end
  return INVALID_ARGUMENT, "the message names no model"
end

function envoy_on_request(handle)
  local headers = handle:headers()
  local kind = headers:get("content-type") or ""
  if kind:sub(1, 16) == "application/grpc" then
    local code, message = of_grpc(headers)
    handle:respond({ [":status"] = "200", ["grpc-status"] = tostring(code) }, message)
  elseif kind ~= "application/x-protobuf"
      and not (headers:get(":method") == "GET" and SERVER[path_of(headers)]) then
    local status, message = of_http(headers)
    handle:respond({ [":status"] = tostring(status), ["content-type"] = "application/json" },
                   '{"error":' .. json_string(message) .. "}")
  end
end
