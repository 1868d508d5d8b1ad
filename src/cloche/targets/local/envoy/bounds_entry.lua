-- What a request meets: a body of up to five digits of bytes is held and read whole, a larger one
-- is read while it passes. What passes cannot be answered any more: it is blanked from the piece
-- that is refused, so that Triton cannot parse it, and Triton's answer is replaced.

local STATE = "cloche.bounds"
local held_reader = new_reader()
local blanked = 0
-- How many requests were blanked by this worker: while there are none, answers cost nothing.

local function is_json(first)
  return first == OPENS_OBJECT or first == 32 or first == 9 or first == 10 or first == 13
end

-- The words become JSON as those of all errors of the gateway do (replies.py).
local function refuse(handle, words, status)
  handle:respond({ [":status"] = status or "400" }, words)
end

local function is_inference(headers)
  local path = headers:get(":path")
  return path:sub(-6) == "/infer" or path:find("^[^?]*/infer%?") ~= nil
end

-- Returns how many bytes of a body are JSON, or nil and why it is refused.
local function json_size(headers, size)
  local told = headers:get("inference-header-content-length")
  if not told or not is_inference(headers) then return size end
  local number = told:match("^%d+$") and tonumber(told)
  if not number or number > size then return nil, WORDS.header end
  return number
end

-- Returns how many elements shapes may declare: in JSON one takes two bytes, else at least one.
local function most_elements(size, of_json)
  return of_json == size and size / 2 or size
end

-- Replaces a compressed body by what it holds; returns why it is refused, and the status.
local function open_body(headers, body)
  local encoding = headers:get("content-encoding")
  if not encoding or encoding == "identity" then return nil end
  if encoding ~= "gzip" and encoding ~= "deflate" then return WORDS.encoding, "415" end
  local text, why = inflate(body:getBytes(0, body:length()), LIMITS.opened)
  if not text then return why, why == WORDS.opened and "413" end
  headers:remove("content-encoding")
  headers:replace("content-length", body:setBytes(text))
end

local function check_held(handle)
  local body = handle:body()
  local size = body and body:length() or 0
  if size == 0 then return end
  local headers = handle:headers()
  -- What is compressed does not begin as JSON does: few requests are asked for their encoding.
  if not is_json(body:getBytes(0, 1):byte()) then
    local why, status = open_body(headers, body)
    if why then return refuse(handle, why, status) end
    size = body:length()
  end
  local of_json, no_header = json_size(headers, size)
  if not of_json then return refuse(handle, no_header) end
  local text, most = body:getBytes(0, of_json), most_elements(size, of_json)
  if screen(text, of_json, most) then return end
  local why = read(begin(held_reader, most, is_inference(headers)), text, of_json)
  if why then refuse(handle, why) end
end

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
  if size and #size < 6 then
    if size ~= "0" then check_held(handle) end
  else
    check_large(handle, tonumber(size))
  end
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
