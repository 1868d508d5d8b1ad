-- Marks Triton's answer that it does not know a sequence, by which the gateway asks the other
-- replicas. Triton has begun nothing then: it refuses such a request before its model sees it.

local WORDS = "must specify the START flag on the first request of the sequence"

local function refusal(handle)
  local headers = handle:headers()
  if headers:get("grpc-status") then return headers:get("grpc-message") end
  if headers:get(":status") ~= "400" then return nil end
  local body = handle:body()
  return body and body:getBytes(0, body:length())
end

function envoy_on_response(handle)
  local words = refusal(handle)
  if words and words:find(WORDS, 1, true) then
    handle:headers():add("cloche-unknown-sequence", "true")
  end
end
