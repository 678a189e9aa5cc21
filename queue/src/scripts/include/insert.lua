-- Inserts a batch of jobs, or finds those that exist already: what `enqueue.lua` and `fire.lua` share. The
-- batch begins at the argument `p`, in the form that `enqueue.lua` describes.
-- include: int, job, state, tenant, books, moves, put, forget, watch_deadline

-- What is wrong with a batch, as an error reply; nil for nothing. Comes before the first write.
local function wrong_batch(p)
  local n, width, groups, n_routes = tonumber(ARGV[p]), tonumber(ARGV[p + 1]), tonumber(ARGV[p + 2]), tonumber(ARGV[p + 3])
  if #ARGV ~= p + 3 + n_routes + n * width + groups * 4 then
    return redis.error_reply('ARGS enqueue: ' .. #ARGV - p + 1 .. ' arguments do not fit ' .. n .. ' items of ' ..
      width .. ' in ' .. groups .. ' groups with ' .. n_routes .. ' routes')
  end
  local first = p + 4 + n_routes
  for _ = 1, width > 5 and groups or 0 do
    local items = tonumber(ARGV[first + 3])
    for i = 1, items do
      local within = string.match(ARGV[first + 3 + i * width], '^%d+')
      if within and tonumber(within) > MAX_TIME_MS then
        return redis.error_reply('ARGS enqueue: a deadline of ' .. within .. ' ms: use at most ' .. MAX_TIME_MS)
      end
    end
    first = first + 4 + items * width
  end
end
-- Inserts the batch, tells of it and wakes workers. Returns {place, result, ...} of the items that were
-- found and not inserted.
local function insert_batch(cx, p)
  local n_routes, groups, width = tonumber(ARGV[p + 3]), tonumber(ARGV[p + 2]), tonumber(ARGV[p + 1])
  -- The numbers of the routes. A new one gets the next number.
  local routes = n_routes > 0 and redis.call('HMGET', ROUTES, unpack(ARGV, p + 4, p + 3 + n_routes)) or {}
  for i = 1, n_routes do
    if not routes[i] then
      routes[i] = int(redis.call('HINCRBY', CONTROL, 'routes', 1))
      redis.call('HSET', ROUTES, ARGV[p + 3 + i], routes[i])
    end
  end
  -- The ids whose outcomes are due within the same tick, by its end.
  local packs = {}
  local function tick_of(at) return at - at % TICK_MS + TICK_MS end
  local reply, enqueued, scheduled, subjects = {}, {}, {}, {}
  local inserted, duplicates = 0, 0
  -- The state of a job that exists, without a second read for most of them. A key of another type
  -- was damaged by hand; that job alone is set aside.
  local DAMAGED = 'damaged'
  local function found_as(key)
    local text = redis.pcall('HGET', key, 'state')
    if type(text) == 'table' then return DAMAGED end
    if text or redis.call('EXISTS', key) == 1 then return state_of(text) end
  end
  -- The job of another id that an idempotency key leads to, and its state: the job that this one
  -- was found to be a duplicate of earlier, or the job that holds the key.
  local function holder_of(id, unique, gives_way)
    for _, name in ipairs({DUPLICATE .. id, UNIQUE .. unique}) do
      local owner = redis.call('GET', name)
      local state = owner and owner ~= id and found_as(JOB .. owner)
      if state and state ~= DAMAGED and not (gives_way ~= '0' and state == 'dead') then return owner, state end
    end
  end
  local place = 0
  p = p + 4 + n_routes
  for _ = 1, groups do
    local lane, route, latest, items = ARGV[p], routes[tonumber(ARGV[p + 1])] or '0', cx.now + ARGV[p + 2], tonumber(ARGV[p + 3])
    local class, listed = string.sub(lane, 1, 1), nil
    local opened, found_again, again = 0, 0, 0
    local head, behind = cx.at .. '|' .. class .. '|', '|' .. route .. '|'
    local latest_due, latest_tick = string.format('%013d', latest), tick_of(latest)
    p = p + 4
    for _ = 1, items do
      local id, deadline, due, subject, delay, rare = ARGV[p], '', NO_DUE, '', 0, ''
      local reopened, tick = nil, nil
      if width > 2 then due = ARGV[p + 2] end
      if width > 3 then subject = ARGV[p + 3] end
      if width > 4 then delay = tonumber(ARGV[p + 4]) end
      if width > 5 then rare = ARGV[p + 5] end
      local key, found = JOB .. id, nil
      local within, late, gives_way, lifetime, noted, unique
      if rare ~= '' then
        within, late, gives_way, lifetime, noted, unique =
          string.match(rare, '^(%d*)|(.)|(.)|(%d*)|(%d*)|(.*)$')
        if within ~= '' then deadline = int(cx.now + tonumber(within)) .. late end
        if unique ~= '' then
          -- A job that exists is found under its own id, whichever job holds the key.
          local own = found_as(key)
          if not own or (own == 'dead' and gives_way == '1') then
            local owner, state = holder_of(id, unique, gives_way)
            if owner then
              redis.call('HINCRBY', JOB .. owner, 'duplicates', 1)
              if not own then redis.call('SET', DUPLICATE .. id, owner, 'PX', noted) end
              found = state .. ' ' .. owner
            end
          end
        end
        if not found and gives_way == '1' and found_as(key) == 'dead' then
          redis.call('ZREM', DEAD, id)
          -- The same event came again, so its expectation is opened again.
          local before, its_route = expectation_of(redis.call('HGET', key, 'job') or '')
          if its_route == route and (before == '') == (due == NO_DUE) then
            reopened = redis.call('HGET', key, 'account') or 'm'
          end
          forget(cx, id, key, not reopened)
          move(cx, 'forgotten', id)
        end
      end
      if not found then
        if due == '' then
          due, tick = latest_due, latest_tick
        elseif due ~= NO_DUE then
          local at = tonumber(due)
          if at > latest then
            due, tick = latest_due, latest_tick
          else
            tick = tick_of(at)
          end
        end
        local body = head .. deadline .. '|' .. due .. behind .. ARGV[p + 1]
        local inserted_it = redis.pcall('HSETNX', key, 'job', body)
        if inserted_it == 0 then
          redis.call('HINCRBY', key, 'duplicates', 1)
          found = found_as(key)
        elseif inserted_it ~= 1 then
          found = DAMAGED
        end
      end
      if found then
        if found ~= DAMAGED then found_again = found_again + 1 end
        reply[#reply + 1] = place + 1
        reply[#reply + 1] = found
      else
        if tick then
          local pack = packs[tick] or {}
          pack[#pack + 1] = id
          packs[tick] = pack
        end
        if reopened then
          redis.call('HSET', key, 'account', 'n')
          move_expectation(cx, id, route, reopened, 'n', due, tenant_of(string.sub(lane, 3)))
          again = again + 1
        else
          opened = opened + 1
        end
        if deadline ~= '' then watch_deadline(id, deadline) end
        if unique and unique ~= '' then
          local before = redis.call('SET', UNIQUE .. unique, id, 'PX', lifetime, 'GET')
          -- A job that held the key until now gave way.
          local was = before and before ~= id and found_as(JOB .. before)
          if was and was ~= DAMAGED then
            redis.call('HSET', JOB .. before, 'successor', id)
          end
          redis.call('DEL', DUPLICATE .. id)
        end
        if delay > 0 then
          become(cx, key, 'scheduled', nil)
          scheduled[#scheduled + 1] = int(cx.now + delay)
          scheduled[#scheduled + 1] = id
        elseif deadline ~= '' then
          -- The place in the batch keeps first in, first out.
          put(cx, id, lane, run_by(cx, deadline, place))
        else
          listed = listed or waiting_for(cx, lane).listed
          listed[#listed + 1] = id
        end
        if subject ~= '' then
          subjects[#subjects + 1] = '0'
          subjects[#subjects + 1] = subject .. '\0' .. id
        end
        inserted = inserted + 1
        enqueued[inserted] = id
      end
      place = place + 1
      p = p + width
    end
    if opened > 0 then
      count_moves(cx, route, 'r', 'o', opened)
      if route ~= '0' then stand(cx, tenant_of(string.sub(lane, 3)), 'r', 'o', opened) end
    end
    if found_again + again > 0 then count_moves(cx, route, 'r', 'd', found_again + again) end
    duplicates = duplicates + found_again
  end
  if inserted > 0 then
    move_all(cx, 'enqueued', enqueued, table.concat(enqueued, ' '))
  end
  local wake = put_all(cx)
  for tick, ids in pairs(packs) do redis.call('ZADD', DUE, tick, table.concat(ids, ' ')) end
  if #scheduled > 0 then redis.call('ZADD', SCHEDULED, unpack(scheduled)) end
  if #subjects > 0 then redis.call('ZADD', SUBJECTS, unpack(subjects)) end
  if duplicates > 0 then redis.call('HINCRBY', STATS, 'duplicates', duplicates) end
  tell(cx, '')
  if wake or #scheduled > 0 then redis.call('PUBLISH', WAKE, cx.at) end
  return reply
end
