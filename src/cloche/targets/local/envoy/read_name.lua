-- Copies the model's name, read from the first gRPC message, to a header; changed headers make
-- Envoy choose the route again.

local READ_BY = "envoy.filters.http.grpc_field_extraction"

function envoy_on_request(handle)
  local found = handle:streamInfo():dynamicMetadata():get(READ_BY)
  local names = found and (found["model_name"] or found["name"])
  local name = type(names) == "table" and names[1] or names
  -- What cannot stand in a header is no name that any route has.
  if type(name) == "string" and name:match("^[ -~]+$") then
    handle:headers():replace("cloche-model-of-message", name)
  end
end
