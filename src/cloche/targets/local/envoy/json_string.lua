-- Writes text as a string of JSON.

local function json_string(text)
  local function escape(character)
    return string.format("\\u%04x", character:byte())
  end
  return '"' .. text:gsub('[%c"\\]', escape) .. '"'
end
