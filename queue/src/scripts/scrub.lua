-- Purpose: look whether jobs are where their state says, and repair what is not. Expected to
--       find nothing.
-- KEYS: 1 control, 2 none
-- ARGV: 1 what: `jobs`, or the state (scheduled, parked, dead, cancelled) whose index
--       the ids were read from; 2 when the lists of the lanes began to be read (ms; 0 where
--       not all were read); then at most 128 ids, with a leading `?` where no list had the id
-- Returns: {ids in no index, ids in a second index, index entries without a job, lanes
--       that no turn would have reached, counts of ready jobs that were off, now ms,
--       how many of the ids were looked at: fewer where the jobs have CALL_BYTES}.
-- include: open, int, job, state, group, kinds, lane, lane_gone, limits, put, release_lanes
-- include: reservations, ring, signals, unknown_member
local cx = open()
if cx.err then return cx end
local INDEX = {
  scheduled = SCHEDULED, parked = PARKED, dead = DEAD, cancelled = CANCELLED,
}
local function waiting_in(lane)
  local n = redis.call('LLEN', LANE .. lane)
  if not is_marked(lane) then return n end
  return n - 1 - tonumber(redis.call('HGET', GONE .. lane, ALL) or '0') + redis.call('ZCARD', PLACED .. lane)
end
local missing, doubled, ghosts, stuck, miscounted = 0, 0, 0, 0, 0
local woken, looked = false, 0

if ARGV[1] ~= 'jobs' then
  local index = INDEX[ARGV[1]]
  if not index then return redis.error_reply('ARGS scrub: `' .. ARGV[1] .. '` has no index') end
  looked = #ARGV - 2
  for i = 3, #ARGV do
    if redis.call('EXISTS', JOB .. ARGV[i]) == 0 then ghosts = ghosts + redis.call('ZREM', index, ARGV[i]) end
  end
else
  -- Entries of succeeded jobs go from the oldest on, and their jobs with them: a job from before
  -- the oldest entry has none. Nothing is concluded while the clock is behind the entries: it was
  -- set back.
  local line = redis.call('XRANGE', SUCCEEDED, '-', '+', 'COUNT', 1)[1]
  local oldest = line and tonumber(line[2][1]) or cx.now
  local began = tonumber(ARGV[2])
  for i = 3, #ARGV do
    if cx.read >= CALL_BYTES then break end
    looked = looked + 1
    local unlisted, id = string.match(ARGV[i], '^(%??)(.*)$')
    local key = JOB .. id
    local job = fields_of(key, 'job', 'state', 'need', 'group')
    if job[1] then
      cx.read = cx.read + #job[1]
      local _, flow, class, deadline = header(job[1])
      local state, since = state_of(job[2]), string.match(job[2] or '', '^%a+ (%d+)') or cx.at
      local lane = class .. ':' .. flow
      for each, index in pairs(INDEX) do
        local there = redis.call('ZSCORE', index, id)
        if there and each ~= state then
          redis.call('ZREM', index, id)
          doubled = doubled + 1
        elseif not there and each == state then
          redis.call('ZADD', index, state == 'scheduled' and cx.at or since, id)
          missing = missing + 1
        end
      end
      if job[4] then
        local ends = state == 'succeeded' or state == 'cancelled'
        local index, other = RETRYING .. job[4], MEMBERS .. job[4]
        if state == 'dead' then index, other = other, index end
        if redis.call('ZREM', other, id) == 1 then doubled = doubled + 1 end
        if ends then
          leave_cause(cx, id, key)
          doubled = doubled + 1
        elseif redis.call('ZADD', index, 'NX', since, id) == 1 then
          redis.call('ZREM', PAST_GROUPS, job[4])
          redis.call('ZADD', GROUPS, 'NX', since, job[4])
          missing = missing + 1
        end
      end
      if state == 'running' then
        -- A job without a lease gets one that has run out, so the job is reclaimed. It keeps the
        -- number of its claim, by which limits know whether they counted it.
        local claim = claim_of(job[2])
        local ids = redis.call('HGET', LEASE .. int(claim), 'ids')
        local named = ids and string.find(ids, id, 1, true)
        if not named then
          redis.call('HSET', LEASE .. int(claim), 'ids', ids and ids .. ' ' .. id or id)
          redis.call('HINCRBY', LEASE .. int(claim), 'left', 1)
          -- A job that was never claimed was not counted either.
          if claim > tonumber(redis.call('HGET', CONTROL, 'claims') or '0') then
            redis.call('HINCRBY', CONTROL, 'running', 1)
          end
        end
        if redis.call('ZADD', RUNNING, 'NX', cx.at, claim) == 1 or not named then missing = missing + 1 end
      end
      if state == 'succeeded' and oldest <= cx.now and tonumber(since) < oldest then
        -- Entries are in order of time, so the job counts as succeeded now.
        become(cx, key, 'succeeded', job[2])
        redis.call('XADD', SUCCEEDED, '*', cx.at, id)
        missing = missing + 1
      end
      local placed = redis.call('ZSCORE', PLACED .. lane, id)
      -- Nothing searches a list for one job; the lists were read before the jobs.
      local first_time = not job[2] and deadline == ''
      local is_lost = not first_time or unlisted == '?' and enqueued_ms(job[1]) < began
      if state == 'parked' and job[3] and not redis.call('ZSCORE', NEED .. job[3], id) then
        redis.call('ZADD', NEED .. job[3], cx.at, id)
        redis.call('HINCRBY', NEEDS, job[3], 1)
        missing = missing + 1
      end
      -- A wait that is answered has no end.
      local ends = state == 'parked' and job[3] and not is_answered(key, job[3])
        and redis.call('HGET', key, 'until:' .. job[3])
      if ends then missing = missing + redis.call('ZADD', EXPIRING, 'NX', ends, 'wait ' .. id) end
      local kind = state == 'parked' and job[3] and kind_of_condition(job[3])
      if kind then
        local member = unknown_member(id, job[1], class, flow)
        if not (redis.call('ZSCORE', UNKNOWN_JOBS .. kind, member) and redis.call('ZSCORE', UNKNOWN, kind) and cx.some_unknown) then
          add_unknown(cx, kind, member)
          redis.call('HSET', CONTROL, 'unknown', '1')
          cx.some_unknown, woken, missing = true, true, missing + 1
        end
      end
      if placed and state ~= 'ready' then
        leave_lane(id, lane)
        redis.call('HINCRBY', CONTROL, 'ready:' .. class, -1)
        doubled = doubled + 1
      elseif state == 'ready' and not placed and is_lost then
        if first_time and redis.call('EXISTS', LANE .. lane) == 1 and not redis.call('ZSCORE', LANES .. class, flow) then
          -- Its list was not read because no index has the lane.
          redis.call('ZADD', LANES .. class, 0, flow)
          stuck = stuck + 1
        else
          put(cx, id, lane, run_by(cx, deadline))
          missing = missing + 1
        end
      elseif state == 'ready' and not redis.call('ZSCORE', RING .. class, flow) then
        local held = redis.call('HGET', HELD, lane)
        local limit = held and limit_of(cx, held)
        if not held then
          redis.call('ZADD', LANES .. class, 0, flow)
          take_turns(cx, class, flow, 0)
          stuck = stuck + 1
        elseif not limit then
          if release_lanes(cx, held) then stuck = stuck + 1 end
        elseif not limit.rate and room_of(cx, held, limit) and room_for(cx, limit, class, lane) >= 1 then
          -- Most likely another lane was let in for that room and waits for a worker. Then nothing
          -- is wrong, and one more lane does no harm.
          if release_lanes(cx, held) then woken = true end
        end
      end
    end
  end
  put_all(cx)
  -- Counts again where that is little work.
  for class = 0, CLASSES - 1 do
    if redis.call('ZCARD', LANES .. class) <= SCRUB_LANES then
      local n = 0
      for _, flow in ipairs(redis.call('ZRANGE', LANES .. class, 0, SCRUB_LANES - 1)) do n = n + waiting_in(class .. ':' .. flow) end
      if n ~= tonumber(redis.call('HGET', CONTROL, 'ready:' .. class) or '0') then
        redis.call('HSET', CONTROL, 'ready:' .. class, n)
        miscounted = miscounted + 1
      end
    end
  end
end
-- Where nothing is leased, nothing runs and nothing counts.
if ARGV[1] == 'jobs' and redis.call('EXISTS', RUNNING) == 0 then
  if tonumber(redis.call('HGET', CONTROL, 'running') or '0') ~= 0 then
    redis.call('HSET', CONTROL, 'running', 0)
    miscounted = miscounted + 1
  end
  miscounted = miscounted + redis.call('DEL', HOLDING)
end
local repaired = missing + doubled + ghosts + stuck + miscounted
if repaired > 0 then
  redis.call('HINCRBY', STATS, 'mended', repaired)
end
if repaired > 0 or woken then redis.call('PUBLISH', WAKE, cx.at) end
return {missing, doubled, ghosts, stuck, miscounted, cx.now, looked}
