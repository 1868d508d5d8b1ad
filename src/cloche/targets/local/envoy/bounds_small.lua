-- What a request meets whose body has up to five digits of bytes. There is no function for answers:
-- it would be called for each of them.

function envoy_on_request(handle)
  local size = handle:headers():get("content-length")
  if size and #size < 6 and size ~= "0" then check_held(handle) end
end
