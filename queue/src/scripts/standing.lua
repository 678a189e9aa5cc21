-- Purpose: read a job and what holds it, in one round trip. The work does not grow with the number of
--       jobs.
-- KEYS: 1 control, 2 none
-- ARGV: 1 id
-- Returns: {} for an unknown job; else the fields of the job, then a name and a value each:
--       now (ms), paused and kind_paused (1 or 0), running, lanes (of its class), ready (a list, by class),
--       workers, slots, kind_workers, kind_slots (those that run its kind and version);
--       of a scheduled job ready_at (ms), of a running one lease_until (ms), each '' where it is not known;
--       of one that waits for its turn ahead (two bounds) and for each limit that concerns it limit:
--       {key, jobs that count for it, most ('' for any number), when it has a token (ms; '' where it has one
--       or no rate), 1 where a job of the lane may start now or else 0, some of the jobs that count for it}.
-- include: open, int, job, state, flow, limits, reservations, running, unknown_member, live_workers
-- include: position
local cx, control = open('ready:0', 'ready:1', 'ready:2', 'ready:3')
if cx.err then return cx end
local id = ARGV[1]
local key = JOB .. id
local body = field_of(key, 'job')
if not body then return {} end
local kind, flow, class, _, version = header(body)
local text, need = field_of(key, 'state'), field_of(key, 'need')
local state, lane, of = state_of(text), class .. ':' .. flow, version .. '|' .. kind
local reply = {redis.call('HGETALL', key)}
local function say(name, value)
  reply[#reply + 1] = name
  reply[#reply + 1] = value
end
say('now', cx.at)
say('paused', cx.paused and 1 or 0)
say('kind_paused', cx.kinds_paused and redis.call('SISMEMBER', PAUSED_KINDS, kind) or 0)
say('running', running_now(cx))
say('lanes', redis.call('ZCARD', RING .. class))
local ready = {}
for i = 1, CLASSES do ready[i] = tonumber(control[5 + i] or '0') end
say('ready', ready)

local live, slots, kind_workers, kind_slots = live_workers(cx), 0, 0, 0
for i = 1, #live.names do
  local facts = live.facts[i] or ''
  local n = tonumber(string.match(facts, '"slots":(%d+)')) or 0
  slots = slots + n
  if string.find(facts, '\n' .. of .. '\n', 1, true) or string.find(facts, '\n*\n', 1, true) then
    kind_workers, kind_slots = kind_workers + 1, kind_slots + n
  end
end
say('workers', live.n)
say('slots', slots)
say('kind_workers', kind_workers)
say('kind_slots', kind_slots)

-- Some of the running jobs that count for a limit key.
local function holders_of(name)
  local found, looked = {}, 0
  for _, claim in ipairs(redis.call('ZRANGE', RUNNING, '0', int(HOLDER_CLAIMS - 1))) do
    for each in string.gmatch(redis.call('HGET', LEASE .. claim, 'ids') or '', '%S+') do
      looked = looked + 1
      if #found >= NAMED_HOLDERS or looked > MAX_BATCH or cx.read >= CALL_BYTES then return found end
      local job = fields_of(JOB .. each, 'state', 'job')
      cx.read = cx.read + #(job[2] or '')
      if job[2] and claim_of(job[1]) == tonumber(claim) then
        local _, flow_of_it = header(job[2])
        local holds = name == 'queue'
        for _, other in ipairs(flow_of(cx, flow_of_it).keys) do holds = holds or other == name end
        if holds then found[#found + 1] = each end
      end
    end
  end
  return found
end

local parked_kind = state == 'parked' and need and kind_of_condition(need)
if state == 'scheduled' then
  say('ready_at', redis.call('ZSCORE', SCHEDULED, id) or '')
elseif state == 'running' then
  say('lease_until', redis.call('ZSCORE', RUNNING, claim_of(text)) or '')
elseif state == 'ready' or parked_kind then
  local least, most
  if parked_kind then
    least, most = ahead_of_kind(id, parked_kind, body, class, flow)
  else
    least, most = ahead_in_lane(id, lane, body)
  end
  say('ahead', {least, most})
  local keys = {'queue'}
  for _, name in ipairs(flow_of(cx, flow).keys) do keys[#keys + 1] = name end
  if cx.limited then learn(cx, keys) end
  for _, name in ipairs(keys) do
    local limit = cx.limits[name]
    if limit and (limit.concurrency or limit.rate) then
      local room = room_of(cx, name, limit)
      -- The slot that is reserved for the lane is room for it.
      if limit.reserved == lane and limit.counting <= cx.now then room = room + 1 end
      local count = name == 'queue' and running_now(cx) or limit.holding
      local at_token, holders = room < 1 and next_token_of(cx, limit), {}
      if room < 1 and limit.concurrency and count >= limit.concurrency then holders = holders_of(name) end
      say('limit', {
        name, count, limit.concurrency and int(limit.concurrency) or '', at_token and int(at_token) or '',
        room >= 1 and 1 or 0, holders,
      })
    end
  end
end
return reply
