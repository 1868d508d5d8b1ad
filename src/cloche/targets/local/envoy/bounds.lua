-- Reads the JSON of a request before Triton does. Triton 24.10 parses by recursion, so that deep
-- nesting ends it; it makes room for as many elements as a shape declares before it sees any; and
-- it looks through all parameters for each of them. What else is wrong with a request Triton says.
--
-- `screen` passes nearly all small requests: it counts what opens and what has a value, two bytes at
-- a time, and searches for shapes. All others are read byte by byte, once; what is known passes from
-- piece to piece of a body.

local bit, ffi = require("bit"), require("ffi")

local QUOTE, COMMA, COLON, BACKSLASH = 34, 44, 58, 92
local OPENS_LIST, CLOSES_LIST, OPENS_OBJECT, CLOSES_OBJECT = 91, 93, 123, 125
local OUTSIDE, INSIDE, ESCAPED = 0, 1, 2 -- where a byte is: in a string, after its backslash
local NO_SHAPE, NAMED, LISTED = 0, 1, 2 -- after `"shape":`, and in its list
local LONGEST_KEY = 64 -- that of a shape has at most 30 bytes, all of them as \u0073

local LONGEST_AXIS = 2 ^ 40 -- one of 2^63 is negative to Triton, so that an axis of 0 hides nothing

local NESTING, QUOTES = ffi.new("int32_t[256]"), ffi.new("int32_t[256]")
NESTING[OPENS_LIST], NESTING[OPENS_OBJECT] = 1, 1
NESTING[CLOSES_LIST], NESTING[CLOSES_OBJECT] = -1, -1
QUOTES[QUOTE] = -1 -- turns all bits of what NESTING counts by: brackets in strings are none

local MEMBER = 2 ^ 17 -- more than `screen` can count of what opens
local MARKS = ffi.new("int32_t[65536]") -- of two bytes, in either order
for other = 0, 255 do
  for byte, mark in pairs({ [OPENS_LIST] = 1, [OPENS_OBJECT] = 1, [COLON] = MEMBER }) do
    MARKS[byte + other * 256] = MARKS[byte + other * 256] + mark
    MARKS[other + byte * 256] = MARKS[other + byte * 256] + mark
  end
end

-- Returns how many colons and how many opening brackets there are, in strings and outside.
local function count(text, size)
  local pairs_of_bytes = ffi.cast("const uint16_t *", text) -- a byte of 0 follows the last one
  local marks = 0
  for at = 0, math.floor((size - 1) / 2) do marks = marks + MARKS[pairs_of_bytes[at]] end
  return math.floor(marks / MEMBER), marks % MEMBER
end

-- Returns how deep JSON without a backslash is.
local function depth_of(text, size)
  local bytes = ffi.cast("const uint8_t *", text)
  local outside, depth, deepest = -1, 0, 0
  for at = 0, size - 1 do
    local byte = bytes[at]
    outside = bit.bxor(outside, QUOTES[byte])
    depth = depth + bit.band(NESTING[byte], outside)
    deepest = math.max(deepest, depth)
  end
  return deepest
end

-- Returns whether JSON is not too deep, has no object of too many members and no backslash.
local function is_plain(text, size)
  if text:find("\\", 1, true) then return false end
  local members, opened = count(text, size)
  if members > LIMITS.members then return false end
  return opened <= LIMITS.depth or depth_of(text, size) <= LIMITS.depth
end

-- Returns whether all shapes in a plain text are lists of numbers, and declare no more than `most`.
local function has_modest_shapes(text, most)
  local at, declared = 1, 0
  while true do
    local _, last = text:find('"shape"', at, true)
    if not last then return declared <= most end
    local list, after = text:match("^%s*:%s*%[([%d%s,]*)%]()", last + 1)
    if not list then return false end
    local product = tonumber(list)
    if not product then
      product = 1
      for text_of_size in list:gmatch("%d+") do
        local size = tonumber(text_of_size)
        if size > LONGEST_AXIS then return false end
        product = product * size
      end
    end
    declared, at = declared + product, after
  end
end

local function screen(text, size, most)
  return size <= LIMITS.name and is_plain(text, size) and has_modest_shapes(text, most)
end

local function new_reader()
  return { members = ffi.new("int32_t[?]", LIMITS.depth + 2),
           objects = ffi.new("bool[?]", LIMITS.depth + 2) }
end

-- Begins with another request: `elements` is what its shapes may declare together, `of_inference`
-- whether texts beside names are bounded, too (in other calls they are what the model gets).
local function begin(reader, elements, of_inference)
  reader.elements, reader.of_inference = elements, of_inference
  reader.depth, reader.declared, reader.members[0], reader.objects[0] = 0, 0, 0, false
  reader.place, reader.length, reader.escaped, reader.text = OUTSIDE, 0, false, ""
  reader.shape, reader.number, reader.product = NO_SHAPE, 0, 1
  reader.is_shape, reader.value = false, false
  return reader
end

local function means_shape(key)
  if key:find("\\", 1, true) then
    key = key:gsub("\\u00(%x%x)", function(digits) return string.char(tonumber(digits, 16)) end)
  end
  return key == "shape"
end

-- Returns whether the string that ends at `at` is the key of a shape.
local function is_shape(reader, bytes, text, from, at)
  if reader.value or not reader.objects[reader.depth] then return false end
  if reader.length == at - from and not reader.escaped then
    return at - from == 5 and bytes[from] == 115 and bytes[from + 1] == 104
      and bytes[from + 2] == 97 and bytes[from + 3] == 112 and bytes[from + 4] == 101
  end
  return reader.length <= LONGEST_KEY and means_shape(reader.text .. text:sub(from + 1, at))
end

-- Takes a string, or what a piece has of it; returns where that ends, and whether it is too long.
local function read_string(reader, bytes, text, from, size)
  local at, place = from, reader.place
  while at < size do
    local byte = bytes[at]
    if place == ESCAPED then
      place = INSIDE
    elseif byte == BACKSLASH then
      place, reader.escaped = ESCAPED, true
    elseif byte == QUOTE then
      place = OUTSIDE
      break
    end
    at = at + 1
  end
  reader.place, reader.length = place, reader.length + at - from
  if place == OUTSIDE then
    reader.is_shape = is_shape(reader, bytes, text, from, at)
  elseif reader.length <= LONGEST_KEY then
    reader.text = reader.text .. text:sub(from + 1, at)
  end
  local bounded = reader.objects[reader.depth] and (reader.of_inference or not reader.value)
  return at, bounded and reader.length > LIMITS.name
end

-- Takes one byte of the list of a shape.
local function read_shape(reader, byte)
  if byte >= 48 and byte <= 57 then
    reader.number = reader.number * 10 + (byte - 48)
    return
  end
  if byte == COMMA or byte == CLOSES_LIST then
    local size = reader.number > LONGEST_AXIS and math.huge or reader.number
    reader.product, reader.number = reader.product * size, 0
  end
  if byte == CLOSES_LIST then
    reader.declared, reader.shape = reader.declared + reader.product, NO_SHAPE
  elseif byte == OPENS_LIST or byte == OPENS_OBJECT or byte == QUOTE then
    reader.shape = NO_SHAPE -- Triton takes numbers only
  end
end

local function open(reader, byte)
  local depth = reader.depth + 1
  if depth > LIMITS.depth then return WORDS.depth end
  reader.depth, reader.members[depth], reader.objects[depth] = depth, 0, byte == OPENS_OBJECT
  local listed = reader.shape == NAMED and byte == OPENS_LIST
  reader.shape = listed and LISTED or NO_SHAPE
  reader.number, reader.product, reader.value = 0, 1, false
end

-- Takes one byte outside of strings; returns why the request is refused.
local function read_structure(reader, byte)
  if byte == OPENS_LIST or byte == OPENS_OBJECT then return open(reader, byte) end
  if byte == COLON then
    local members = reader.members[reader.depth] + 1
    if members > LIMITS.members then return WORDS.members end
    reader.members[reader.depth] = members
    reader.shape, reader.value = reader.is_shape and NAMED or NO_SHAPE, true
    return
  end
  local closes = byte == CLOSES_LIST or byte == CLOSES_OBJECT
  if closes and reader.depth > 0 then reader.depth = reader.depth - 1 end
  if closes or byte == COMMA then
    reader.value = false
    if reader.shape == NAMED then reader.shape = NO_SHAPE end
  end
end

-- Skips numbers, and what is between them in a list.
local function skip(bytes, at, size, in_list)
  while at < size do
    local byte = bytes[at]
    if byte == QUOTE or byte >= COLON or byte == COMMA and not in_list then break end
    at = at + 1
  end
  return at
end

-- Reads the first `size` bytes of a piece; returns why the request is refused, nil if it is not.
local function read(reader, text, size)
  local bytes, at = ffi.cast("const uint8_t *", text), 0
  while at < size do
    if reader.place ~= OUTSIDE then
      local too_long
      at, too_long = read_string(reader, bytes, text, at, size)
      if too_long then return WORDS.name end
      at = at + 1
    end
    if reader.shape == NO_SHAPE then
      at = skip(bytes, at, size, not reader.objects[reader.depth])
    end
    if at >= size then return nil end
    local byte = bytes[at]
    if reader.shape == LISTED then
      read_shape(reader, byte)
      if reader.declared > reader.elements or not (reader.product < math.huge) then
        return WORDS.shape -- 0 times infinity is no number
      end
    end
    if byte == QUOTE then
      reader.place, reader.length, reader.text, reader.escaped = INSIDE, 0, "", false
    else
      local refusal = read_structure(reader, byte)
      if refusal then return refusal end
    end
    at = at + 1
  end
end
