-- What a request meets with a larger body, or one of unknown size: it is read while it passes. What
-- passes cannot be answered any more: it is blanked from the piece that is refused, so that Triton
-- cannot parse it, and Triton's answer is replaced.

local STATE = "cloche.bounds"
local blanked = 0
-- How many requests were blanked by this worker: while there are none, answers cost nothing.

-- Reads the first `of_json` bytes of a body while it passes; none may follow if it `ends` there.
local function check_passing(handle, of_json, most, ends)
  local reader, why = begin(new_reader(), most, is_inference(handle:headers())), nil
  for chunk in handle:bodyChunks() do
    local length = chunk:length()
    local part = math.min(length, of_json)
    if not why then
      why = read(reader, chunk:getBytes(0, part), part)
      if ends and length > part then why = WORDS.json end
      if why then
        handle:streamInfo():dynamicMetadata():set(STATE, "why", why)
        blanked = blanked + 1
      end
    end
    if why then chunk:setBytes((" "):rep(length)) end
    of_json = of_json - part
    if of_json == 0 and not ends then return end
  end
end

local function check_large(handle, size)
  local headers = handle:headers()
  if headers:get(":method") ~= "POST" then return end
  local encoding = headers:get("content-encoding")
  if encoding and encoding ~= "identity" then
    if (size or 0) > LIMITS.held then return refuse(handle, WORDS.closed, "413") end
    return check_held(handle)
  end
  if not size and not headers:get("inference-header-content-length") then
    return check_passing(handle, LIMITS.json, LIMITS.held / 2, true)
  end
  size = size or LIMITS.body
  local of_json, why = json_size(headers, size)
  if not of_json then return refuse(handle, why) end
  if of_json > LIMITS.json then return refuse(handle, WORDS.json, "413") end
  if of_json > 0 then check_passing(handle, of_json, most_elements(size, of_json)) end
end

function envoy_on_request(handle)
  local size = handle:headers():get("content-length")
  check_large(handle, size and tonumber(size))
end

function envoy_on_response(handle)
  if blanked == 0 then return end
  local known = handle:streamInfo():dynamicMetadata():get(STATE)
  if not known then return end
  blanked = blanked - 1
  local body = handle:body(true)
  local headers = handle:headers()
  headers:replace("content-length", body:setBytes('{"error":' .. json_string(known["why"]) .. "}"))
  headers:replace("content-type", "application/json")
  headers:replace(":status", known["why"] == WORDS.json and "413" or "400")
end
