-- The jobs of a claim share one lease: `lease:n` has their ids and how many of them still run,
-- `running` has when it expires. `cx.over` counts the attempts that end in this call, by claim.
-- include: int

-- Notes that n attempts of a claim end.
local function stops(cx, claim, n)
  cx.over = cx.over or {}
  cx.over[claim] = (cx.over[claim] or 0) + n
  cx.n_over = (cx.n_over or 0) + n
end
-- Writes what was noted. A lease goes with the last of its jobs.
local function end_leases(cx)
  if not cx.over then return end
  for claim, n in pairs(cx.over) do
    if redis.call('HINCRBY', LEASE .. int(claim), 'left', -n) <= 0 then
      redis.call('DEL', LEASE .. int(claim))
      redis.call('ZREM', RUNNING, claim)
    end
  end
  cx.running = redis.call('HINCRBY', CONTROL, 'running', -cx.n_over)
end
