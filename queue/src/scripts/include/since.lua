-- Since when (ms) a job is in its state, from its state field and its body. Pure.
-- include: job
local function since_of(text, body)
  if not text then return enqueued_ms(body) end
  return tonumber(string.match(text, '^running %d+ %S+ (%d+)') or string.match(text, '^%a+ (%d+)') or '0')
end
