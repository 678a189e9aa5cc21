-- The arithmetic of limits and of their token buckets. Pure.

-- Times are rounded to a µs and tokens to six decimals, so a token counts as whole when this
-- much of it is missing.
local HAIR = 0.000001

-- Reads a limit that is stored as `concurrency|tokens a second|burst|weight|since`. An empty
-- part does not limit; nil for a text of another form.
local function read_limit(key, text)
  local concurrency, rate, burst, weight, since =
    string.match(text, '^([^|]*)|([^|]*)|([^|]*)|([^|]*)|(%d*)$')
  if not concurrency then return nil end
  local limit = {
    key = key, concurrency = tonumber(concurrency), weight = tonumber(weight),
    -- Running jobs of claims behind this one are counted. Jobs that ran before are counted if
    -- `holders` has them.
    since = tonumber(since) or 0,
    holding = 0, changed = false, room = false, taken = 0, reserved = false, counting = 0,
  }
  if rate ~= '' then
    limit.rate, limit.burst = tonumber(rate), tonumber(burst) or 1
    -- An earlier version may have stored a rate that is too slow to compute a time from.
    if not (limit.rate and limit.rate >= SLOWEST) then limit.rate = SLOWEST end
  end
  return limit
end
-- The tokens in a bucket: what was left at a time (µs), and what came since.
local function refilled(left, since, us, rate, burst)
  return math.min(burst, left + (us - since) / 1000000 * rate)
end
local function whole_tokens(tokens) return math.floor(tokens + HAIR) end
-- How long until there are so many tokens (ms); nil where they are there.
local function ms_until(wanted, left, rate)
  if left >= wanted - HAIR then return nil end
  return math.ceil((wanted - left) / rate * 1000)
end
