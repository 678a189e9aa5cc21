-- What one claim gathers, and the bounds that it shares out.
-- include: int

-- `ask` has what the worker asks for; `control` the fields that `claim.lua` reads.
local function new_claim(cx, ask, control)
  local number = int((control[6] or 0) + 1)
  cx.running = tonumber(control[7] or '0')
  cx.times = {}
  local ready, credit = {}, {}
  for i = 1, CLASSES do
    local class = int(i - 1)
    ready[class], cx.times[class] = tonumber(control[7 + i] or '0'), tonumber(control[11 + i] or '0')
    if i > 1 then credit[class] = tonumber(control[14 + i] or '0') end
  end
  local attempt = ' ' .. ask.worker .. ' ' .. cx.at .. ' ' .. number
  return {
    -- Who asks for how many, for how long, and runs which kinds (nil for all).
    worker = ask.worker, want = ask.want, lease_ms = ask.lease_ms, runs = ask.runs,
    quantum = ask.quantum, by_chance = ask.by_chance,
    until_ms = int(cx.now + ask.lease_ms), number = number,
    -- What the state of an attempt says behind its token, and all of it for a first attempt.
    attempt = attempt, first_attempt = 'running 1' .. attempt,
    -- Ready jobs, and the share of each class that has not been paid out; by class.
    ready = ready, credit = credit,
    -- Fields of the control key that change here.
    fields = {},
    -- Jobs that are leased: their ids, the reply with room for what stands first, how many, and
    -- the bytes of them.
    leased = {}, reply = {0, 0, 0, 0}, n = 0, bytes = 0,
    -- Lanes and jobs that were looked at and not leased; jobs that were parked for their kind.
    examined = 0, n_unknown = 0,
    -- Lanes and flows of parked kinds that may still be visited.
    lanes_left = CLAIM_LANES, flows_left = KIND_FLOWS,
    -- How many lanes take turns, and which were read ahead; by class.
    turning = {}, windows = {},
    -- The kinds that the worker runs and that jobs are parked for; what these may use of CALL_BYTES.
    kinds = {}, bytes_at_most = CALL_BYTES,
    more = false, some_late = false, next_token = nil, next_look = nil,
  }
end
local function set_field(c, field, value)
  c.fields[#c.fields + 1] = field
  c.fields[#c.fields + 1] = value
end
-- Whether the claim may read and lease no further jobs.
local function is_spent(cx, c) return c.bytes >= CALL_BYTES or cx.read >= CALL_BYTES end
