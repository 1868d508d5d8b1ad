-- Lets a model answer under another name than the server knows it by. It runs only for requests by
-- such a name, for which the route has chosen the service: here the path follows, and the name
-- inside the messages. The context of the route has an entry for each name (see renaming).
--
-- Of a field that occurs twice in a protobuf message the last value counts, and messages in it are
-- merged (https://protobuf.dev/programming-guides/encoding/#last-one-wins). So a name is replaced by
-- appending it; nothing of the message is parsed, and a body passes piece by piece.

local NAMED = { ModelInfer = true, ModelMetadata = true }
local CALL, STATE = "cloche.call", "cloche.model"

local function field_1(text)
  local size, encoded = #text, ""
  while size > 127 do
    encoded, size = encoded .. string.char(size % 128 + 128), math.floor(size / 128)
  end
  return "\10" .. encoded .. string.char(size) .. text
end

local function head(flag, size)
  local bytes = {}
  for place = 4, 1, -1 do
    bytes[place], size = size % 256, math.floor(size / 256)
  end
  return string.char(flag, unpack(bytes))
end

-- Appends to each message of a gRPC body: a flag, four bytes of length, the message, and so on.
local function append(handle, suffix)
  local held, left = "", 0
  for chunk in handle:bodyChunks() do
    local data = chunk:getBytes(0, chunk:length())
    if held ~= "" then data = held .. data end
    local pieces, at = {}, 1
    while at <= #data do
      if left == 0 then
        if #data < at + 4 then break end
        local flag, a, b, c, d = data:byte(at, at + 4)
        left, at = ((a * 256 + b) * 256 + c) * 256 + d, at + 5
        pieces[#pieces + 1] = head(flag, left + #suffix)
      else
        local taken = math.min(left, #data - at + 1)
        pieces[#pieces + 1] = data:sub(at, at + taken - 1)
        left, at = left - taken, at + taken
      end
      if left == 0 then pieces[#pieces + 1] = suffix end
    end
    held = data:sub(at)
    chunk:setBytes(table.concat(pieces))
  end
end

-- Replaces the first name in an answer about a model: the model's own.
local function rename_json(handle, from, to)
  local body = handle:body()
  if not body then return end
  local text = body:getBytes(0, body:length())
  local first, last = text:find('"name":"' .. from .. '"', 1, true)
  if not first then return end
  local size = body:setBytes(text:sub(1, first - 1) .. '"name":"' .. to .. '"' .. text:sub(last + 1))
  handle:headers():replace("content-length", size)
end

-- Returns what the rest of a path asks for, after the name of the model.
local function asked(rest)
  rest = rest:gsub("%?.*$", "")
  return (rest == "" or rest:match("^/versions/%d+$") or rest:match("/config$")) and "about" or ""
end

function envoy_on_request(handle)
  local path = handle:headers():get(":path")
  local call = path:match("^/inference%.GRPCInferenceService/(%w+)$")
  local name, rest = path:match("^/v2/models/([^/?]+)(.*)$")
  local key = call and handle:streamInfo():filterState():get(STATE) or name
  local entry = handle:filterContext():get(key)
  local metadata = handle:streamInfo():dynamicMetadata()
  metadata:set(CALL, "key", key)
  metadata:set(CALL, "call", call or asked(rest))
  if call then
    append(handle, field_1(entry["model"]))
  else
    handle:headers():replace(":path", "/v2/models/" .. entry["path"] .. rest)
  end
end

function envoy_on_response(handle)
  local known = handle:streamInfo():dynamicMetadata():get(CALL)
  if not known or handle:headers():get(":status") ~= "200" then return end
  local entry, call = handle:filterContext():get(known["key"]), known["call"]
  if NAMED[call] then
    append(handle, field_1(entry["name"]))
  elseif call == "ModelConfig" then
    append(handle, field_1(field_1(entry["name"])))
  elseif call == "about" then
    rename_json(handle, entry["model"], entry["json"])
  end
end
