-- Opens what gzip (RFC 1952) or zlib (RFC 1950) has compressed, up to a number of bytes. A code
-- (RFC 1951) is kept as how many words each length has, and its symbols in the order of those.

local LENGTHS, LENGTH_BITS, DISTANCES, DISTANCE_BITS = {}, {}, {}, {}
do
  local length, distance = 3, 1
  for at = 1, 28 do
    LENGTHS[at], LENGTH_BITS[at] = length, math.max(0, math.floor((at - 5) / 4))
    length = length + 2 ^ LENGTH_BITS[at]
  end
  LENGTHS[29], LENGTH_BITS[29] = 258, 0
  for at = 1, 30 do
    DISTANCES[at], DISTANCE_BITS[at] = distance, math.max(0, math.floor((at - 3) / 2))
    distance = distance + 2 ^ DISTANCE_BITS[at]
  end
end
local ORDER = { 16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15 }
local BROKEN, LARGE = "broken", "large"

local function take(input, count)
  while input.count < count do
    if input.at >= input.size then error(BROKEN, 0) end
    input.bits = bit.bor(input.bits, bit.lshift(input.bytes[input.at], input.count))
    input.at, input.count = input.at + 1, input.count + 8
  end
  local taken = bit.band(input.bits, bit.lshift(1, count) - 1)
  input.bits, input.count = bit.rshift(input.bits, count), input.count - count
  return taken
end

local function new_code(lengths, first, count)
  local counts, symbols = ffi.new("uint16_t[16]"), ffi.new("uint16_t[?]", count)
  for each = first, first + count - 1 do counts[lengths[each]] = counts[lengths[each]] + 1 end
  counts[0] = 0
  local places, left = ffi.new("uint16_t[16]"), 1
  for length = 1, 15 do
    left = left * 2 - counts[length]
    if left < 0 then error(BROKEN, 0) end
    if length < 15 then places[length + 1] = places[length] + counts[length] end
  end
  for each = 0, count - 1 do
    local length = lengths[first + each]
    if length > 0 then
      symbols[places[length]] = each
      places[length] = places[length] + 1
    end
  end
  return { counts = counts, symbols = symbols }
end

local function symbol_of(input, code)
  local word, first, index = 0, 0, 0
  for length = 1, 15 do
    word = word + take(input, 1)
    local count = code.counts[length]
    if word - count < first then return code.symbols[index + word - first] end
    index, first = index + count, (first + count) * 2
    word = word * 2
  end
  error(BROKEN, 0)
end

local function fixed_codes()
  local lengths = ffi.new("uint8_t[320]")
  for each = 0, 287 do
    lengths[each] = each < 144 and 8 or each < 256 and 9 or each < 280 and 7 or 8
  end
  for each = 288, 317 do lengths[each] = 5 end
  return new_code(lengths, 0, 288), new_code(lengths, 288, 30)
end

local function told_codes(input)
  local literals, distances, told = take(input, 5) + 257, take(input, 5) + 1, take(input, 4) + 4
  local lengths = ffi.new("uint8_t[320]")
  for each = 1, told do lengths[ORDER[each]] = take(input, 3) end
  local code, at = new_code(lengths, 0, 19), 0
  ffi.fill(lengths, 320)
  while at < literals + distances do
    local symbol = symbol_of(input, code)
    local length, again = symbol, 1
    if symbol == 16 then
      if at == 0 then error(BROKEN, 0) end
      length, again = lengths[at - 1], 3 + take(input, 2)
    elseif symbol == 17 then
      length, again = 0, 3 + take(input, 3)
    elseif symbol == 18 then
      length, again = 0, 11 + take(input, 7)
    end
    if at + again > literals + distances then error(BROKEN, 0) end
    for _ = 1, again do lengths[at], at = length, at + 1 end
  end
  return new_code(lengths, 0, literals), new_code(lengths, literals, distances)
end

local function room(output, count)
  if output.size + count > output.most then error(LARGE, 0) end
  if output.size + count <= output.room then return end
  local larger = math.min(output.most, math.max(2 * output.room, output.size + count))
  local bytes = ffi.new("uint8_t[?]", larger)
  ffi.copy(bytes, output.bytes, output.size)
  output.bytes, output.room = bytes, larger
end

local function copy_stored(input, output)
  input.bits, input.count = 0, 0
  local count = take(input, 16)
  take(input, 16)
  if input.at + count > input.size then error(BROKEN, 0) end
  room(output, count)
  ffi.copy(output.bytes + output.size, input.bytes + input.at, count)
  input.at, output.size = input.at + count, output.size + count
end

local function copy_coded(input, output, literals, distances)
  while true do
    local symbol = symbol_of(input, literals)
    if symbol == 256 then return end
    if symbol < 256 then
      room(output, 1)
      output.bytes[output.size], output.size = symbol, output.size + 1
    else
      local at = symbol - 256
      if at > 29 then error(BROKEN, 0) end
      local length = LENGTHS[at] + take(input, LENGTH_BITS[at])
      local far = symbol_of(input, distances) + 1
      if far > 30 then error(BROKEN, 0) end
      local distance = DISTANCES[far] + take(input, DISTANCE_BITS[far])
      if distance > output.size then error(BROKEN, 0) end
      room(output, length)
      local bytes, from, to = output.bytes, output.size - distance, output.size
      for each = 0, length - 1 do bytes[to + each] = bytes[from + each] end
      output.size = to + length
    end
  end
end

local function skip_head(input)
  local first = take(input, 8)
  if first ~= 31 then -- zlib: two bytes
    if first % 16 ~= 8 or (first * 256 + take(input, 8)) % 31 ~= 0 then error(BROKEN, 0) end
    return
  end
  if take(input, 8) ~= 139 or take(input, 8) ~= 8 then error(BROKEN, 0) end
  local flags = take(input, 8)
  for _ = 1, 6 do take(input, 8) end
  if bit.band(flags, 4) ~= 0 then
    for _ = 1, take(input, 16) do take(input, 8) end
  end
  for _, flag in ipairs({ 8, 16 }) do
    while bit.band(flags, flag) ~= 0 and take(input, 8) ~= 0 do end
  end
  if bit.band(flags, 2) ~= 0 then take(input, 16) end
end

local function opened(text, most)
  local bytes = ffi.cast("const uint8_t *", text)
  local input = { bytes = bytes, size = #text, at = 0, bits = 0, count = 0 }
  local output = { bytes = ffi.new("uint8_t[?]", 65536), size = 0, room = 65536, most = most }
  skip_head(input)
  repeat
    local last, kind = take(input, 1), take(input, 2)
    if kind == 0 then
      copy_stored(input, output)
    elseif kind == 1 then
      copy_coded(input, output, fixed_codes())
    elseif kind == 2 then
      copy_coded(input, output, told_codes(input))
    else
      error(BROKEN, 0)
    end
  until last == 1
  return ffi.string(output.bytes, output.size)
end

-- Returns what was compressed, or nil and why not.
local function inflate(text, most)
  local done, found = pcall(opened, text, most)
  if done then return found end
  return nil, found == LARGE and WORDS.opened or WORDS.broken
end
