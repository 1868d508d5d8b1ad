-- Makes the answer of a call from that of a stream of one request. The stream's message holds the
-- answer as a field, after the words of an error: the head of the message is replaced, and the rest
-- passes as it is. Triton says in each answer of a stream whether it is the last; that goes, too.
-- An error becomes the status of the call. Messages are those of grpc_service.proto; their fields
-- come in the order of their numbers, as protobuf writes them.

local ERROR, ANSWER = 10, 18 -- tags in the message of a stream
local MODEL, PARAMETER = 10, 34 -- tags in an answer; what follows its parameters has higher ones
local FINAL = "\10\21triton_final_response"
local NOT_LAST = "\18\2\8%z$"
local MOST_HELD = 65536 -- bytes of an error and what comes with it
local LONGEST_WORDS = 7000 -- clients take 8 KiB of metadata for certain

local INVALID_ARGUMENT, NOT_FOUND, UNIMPLEMENTED, INTERNAL, UNAVAILABLE = 3, 5, 12, 13, 14
local DECOUPLED = "ModelInfer RPC doesn't support models with decoupled transaction policy"
local UNREAD = "Unable to parse request" -- what gRPC itself says of a message that it cannot read

-- A stream has the words of an error, but not its code. What is not here is the fault of the
-- request if no model had it yet, else of the model.
local CODES = {
  { "^Request for unknown model: .+ is not at ready state$", UNAVAILABLE },
  { "^Request for unknown model: ", NOT_FOUND },
  { "^Server not ready$", UNAVAILABLE },
  { "^Server is stopping, scheduler for model has stopped accepting new", UNAVAILABLE },
  { "^Exceeds maximum queue size$", UNAVAILABLE },
  { "^Request timeout expired$", UNAVAILABLE },
  { "^timeout of the corresponding sequence has been expired$", UNAVAILABLE },
  { "^Unable to find the payload queue for the model", INTERNAL },
  { "^Failed to process the request%(s%) for model", INTERNAL },
  { "^inference input ", INVALID_ARGUMENT },
  { "^inference request for sequence ", INVALID_ARGUMENT },
  { "^input byte size mismatch for input ", INVALID_ARGUMENT },
  { "^unexpected shape for input ", INVALID_ARGUMENT },
  -- What MLflow refuses, and Cloche's own code for its models (repository/pyfunc).
  { "^Failed to enforce schema of data ", INVALID_ARGUMENT },
  { "^the input .+ is missing; it is ", INVALID_ARGUMENT },
  { "^the input .+ holds bytes that are not UTF%-8 text$", INVALID_ARGUMENT },
  { "^the input .+ takes ", INVALID_ARGUMENT },
  { "^the model has no parameter ", INVALID_ARGUMENT },
  { "^the parameter .+ takes ", INVALID_ARGUMENT },
}

local function code_of(words, of_model)
  words = words:gsub("^in ensemble '[^']*', ", ""):gsub("^%[request id: [^%]]*%] ", "")
  for _, known in ipairs(CODES) do
    if words:find(known[1]) then return known[2] end
  end
  return of_model and INTERNAL or INVALID_ARGUMENT
end

-- Returns a number of a message, and where the next byte is; nil if it is cut off.
local function varint(text, at)
  local value, factor = 0, 1
  while true do
    local byte = text:byte(at)
    if not byte then return nil end
    at = at + 1
    if byte < 128 then return value + byte * factor, at end
    value, factor = value + (byte - 128) * factor, factor * 128
  end
end

local function size_of(data)
  local a, b, c, d = data:byte(2, 5)
  return d and ((a * 256 + b) * 256 + c) * 256 + d
end

local function head(size)
  local high = math.floor(size / 65536)
  return string.char(0, bit.rshift(high, 8), bit.band(high, 255),
                     bit.band(bit.rshift(size, 8), 255), bit.band(size, 255))
end

-- Returns the answer as far as it has come, or nil and the refusal of the call; nil alone if more
-- is needed. The answer has `size` bytes from `first`.
local function answer(data, first, size)
  local at, last = first, first + size
  while at < last do
    local tag, length, content = data:byte(at), varint(data, at + 1)
    if not content then return nil end
    if tag > PARAMETER then break end
    local next_at = content + length
    if #data < next_at - 1 then return nil end
    if tag == PARAMETER and data:sub(content, content + #FINAL - 1) == FINAL then
      if data:sub(content, next_at - 1):find(NOT_LAST) then
        return nil, { code = UNIMPLEMENTED, words = DECOUPLED }
      end
      return head(size - (next_at - at)) .. data:sub(first, at - 1) .. data:sub(next_at)
    end
    at = next_at
  end
  return head(size) .. data:sub(first)
end

-- Returns nil and the refusal that an error is; nil alone if more is needed.
local function refusal(data, first, length)
  if #data < math.min(size_of(data) + 5, MOST_HELD) then return nil end
  local words = data:sub(first, first + length - 1)
  local _, content = varint(data, first + length + 1)
  local of_model = content and data:byte(content) == MODEL
  return nil, { code = code_of(words, of_model), words = words }
end

local function opened(data)
  local length, first = varint(data, 7)
  if not first then return nil end
  local flag, tag = data:byte(1), data:byte(6)
  if flag == 0 and tag == ANSWER then return answer(data, first, length) end
  if flag == 0 and tag == ERROR then return refusal(data, first, length) end
  return nil, { code = INTERNAL, words = UNREAD }
end

-- As https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md has it; no character is cut.
local function encoded(words)
  local text = words:sub(1, LONGEST_WORDS):gsub("[^ -$&-~]", function(character)
    return ("%%%02X"):format(character:byte())
  end)
  if #text <= LONGEST_WORDS and #words <= LONGEST_WORDS then return text end
  text = text:sub(1, LONGEST_WORDS):gsub("%%%x?$", "")
  while text:find("%%[89AB]%x$") do text = text:sub(1, -4) end
  return (text:gsub("%%[C-F]%x$", ""))
end

function envoy_on_response(handle)
  local data, refused = "", nil
  for chunk in handle:bodyChunks() do
    if not refused then
      data = data .. chunk:getBytes(0, chunk:length())
      local text, why = opened(data)
      if text then return chunk:setBytes(text) end
      refused = why
    end
    chunk:setBytes("")
  end
  local status = handle:trailers() or handle:headers()
  if status:get("grpc-status") ~= "0" then return end
  refused = refused or { code = INTERNAL, words = UNREAD }
  status:replace("grpc-status", tostring(refused.code))
  status:replace("grpc-message", encoded(refused.words))
end
