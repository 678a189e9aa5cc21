-- Histograms of how long jobs took whose outcomes were achieved, one hash for each hour. A worker counts
-- the jobs that it ends, and sends the counts. A job that ends without a run is counted here.
-- include: int, job, time_bucket

-- Adds to a field. An hour has a bounded number of fields: what does not fit counts as `*`.
local function count_times(key, field, n)
  if redis.call('HINCRBY', key, field, n) == tonumber(n) and redis.call('HLEN', key) > MAX_CLOCKS then
    redis.call('HDEL', key, field)
    redis.call('HINCRBY', key, '*', n)
  end
end
-- Counts a job that just succeeded; its field `spent` is complete. See `job/clock.rs`.
local function count_clock(cx, key, body)
  local due, route = expectation_of(body)
  if due == '' then return end
  local labels, enqueued = meta_of(body)[3], enqueued_ms(body)
  local label = type(labels) == 'table' and type(labels.clock) == 'string' and labels.clock or ''
  local asked, after = string.match(label, '^(%-?%d+)([+-]%d+)$')
  local said = asked and asked + after or tonumber(string.match(label, '^%-?%d+$') or enqueued)
  local received = math.min(said, enqueued)
  asked = tonumber(asked or received)
  local times = {b = math.max(0, received - asked), i = math.max(0, enqueued - received)}
  local stages, n, apart = {'r', 'p', 'w', 'c', 'd'}, 0, 0
  for sum in string.gmatch(redis.call('HGET', key, 'spent') or '', '%d+') do
    n = n + 1
    times[stages[n]] = tonumber(sum)
    apart = apart + sum
  end
  times.q = math.max(0, cx.now - enqueued - apart)
  local whole, hour = 0, CLOCKS .. int(math.floor(cx.now / MINUTE_MS / 60))
  for letter, ms in pairs(times) do
    whole = whole + ms
    if ms > 0 then count_times(hour, route .. '|' .. letter .. '|' .. int(time_bucket(ms)), 1) end
  end
  count_times(hour, route .. '|e|' .. int(time_bucket(whole)), 1)
  if said > received or asked > received then count_times(hour, route .. '|s', 1) end
  redis.call('PEXPIRE', hour, CLOCKS_MS)
end
