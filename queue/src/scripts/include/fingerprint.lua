-- The name of a cause of failure: the first 16 digits of the SHA-1 of class, kind and normalised
-- message.
local function fingerprint_of(class, kind, normal)
  return string.sub(redis.sha1hex(class .. '\n' .. kind .. '\n' .. normal), 1, 16)
end
