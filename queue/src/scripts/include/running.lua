-- How many jobs of the queue run, read once a call.
local function running_now(cx)
  if not cx.running then cx.running = tonumber(redis.call('HGET', CONTROL, 'running') or '0') end
  return cx.running
end
