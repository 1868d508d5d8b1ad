-- Reads a body that is held and whole.

local held_reader = new_reader()

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
