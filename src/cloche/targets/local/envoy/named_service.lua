-- Returns the service that a request names itself, by its host or else by a header; nil if it names
-- none. A host is one whatever the case of its letters, and with any port.
local function named_service(headers)
  local host = (headers:get(":authority") or ""):lower()
  return host:match("^([^.:]+)%.localhost%f[%z:]") or headers:get("cloche-service")
end
