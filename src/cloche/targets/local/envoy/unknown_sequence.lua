-- Marks Triton's answer that it does not know a sequence, by which the gateway asks the other
-- replicas. Triton has begun nothing then: it refuses such a request before its model sees it. The
-- answer to a call that is passed on as a stream says so in its message, which is held for it.

local WORDS = "must specify the START flag on the first request of the sequence"
local CALL, AS_STREAM = "cloche.call", "cloche-as-stream"
local ERROR = 10 -- the tag of an error, after five bytes before the message

local function refusal(handle)
  local headers = handle:headers()
  if headers:get("grpc-status") then return headers:get("grpc-message") end
  local as_stream = handle:streamInfo():dynamicMetadata():get(AS_STREAM)
  if headers:get(":status") ~= "400" and not as_stream then return nil end
  local body = handle:body()
  local text = body and body:getBytes(0, body:length())
  if text and as_stream and text:byte(6) ~= ERROR then return nil end
  return text
end

function envoy_on_request(handle)
  if handle:headers():get(AS_STREAM) then
    handle:streamInfo():dynamicMetadata():set(AS_STREAM, CALL, true)
  end
end

function envoy_on_response(handle)
  local words = refusal(handle)
  if words and words:find(WORDS, 1, true) then
    handle:headers():add("cloche-unknown-sequence", "true")
  end
end
