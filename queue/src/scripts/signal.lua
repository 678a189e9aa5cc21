-- Purpose: keep a signal, release the first jobs that wait for it, and end the first jobs whose
--       outcome awaits it. The first payload stays: a signal of the same payload changes nothing, and a
--       different payload is recorded as a contradiction. Of confirmations only those contradict that
--       have the other verdict, or the same id. A repeated call changes nothing. Beyond the bytes that the queue keeps a
--       signal is refused, and of a contradiction only its digest is kept.
-- KEYS: 1 control, 2 none
-- ARGV: 1 condition, 2 payload (JSON), 3 bytes that the queue keeps of signals at most, 4 bound on
--       released jobs (at most 128, or CALL_BYTES), 5 why the work did not come out right ('' where the
--       signal does not say that), 6 the same normalised, 7 1 for a confirmation, 8 its id ('' for none)
-- Returns: {what became of it, the payload that is kept, how many jobs became ready or ended, how many
--       are left}. What became of it: `stored`, `known` (the same payload is kept), `contradicts`
--       (another one is kept), `full` (the queue keeps as many bytes as it may; nothing changed,
--       and the second is how many).
-- include: open, int, append_history, moves, put, release_parked
local cx = open()
if cx.err then return cx end
local condition, payload, most, bound = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4]
local key, result = SIGNAL .. condition, 'known'
-- Counts the bytes of the signal and of all.
local function keeps(bytes)
  redis.call('HINCRBY', key, 'bytes', bytes)
  redis.call('HINCRBY', CONTROL, 'signal_bytes', bytes)
end
local kept = redis.call('HMGET', key, 'payload', 'other', 'job', 'other_digest', 'reason', 'id')
local reason, name = ARGV[5], ARGV[8]
-- A second confirmation says the same as the first one where its verdict is the same.
local agrees = ARGV[7] == '1' and (kept[5] ~= false) == (reason ~= '') and (name == '' or name ~= kept[6])
local all = tonumber(redis.call('HGET', CONTROL, 'signal_bytes') or '0')
if not kept[1] then
  local bytes = SIGNAL_BYTES + #payload + 2 * #condition + #reason + #ARGV[6] + #name
  if all + bytes > most then return {'full', int(all), 0, 0} end
  result = 'stored'
  redis.call('HSET', key, 'payload', payload, 'at', cx.at)
  if reason ~= '' then redis.call('HSET', key, 'reason', reason, 'normal', ARGV[6]) end
  if name ~= '' then redis.call('HSET', key, 'id', name) end
  redis.call('ZADD', SIGNALS, cx.at, condition)
  keeps(bytes)
  redis.call('HINCRBY', STATS, 'signals', 1)
  if redis.call('EXISTS', NEED .. condition) == 0 then redis.call('HINCRBY', STATS, 'signals_early', 1) end
elseif kept[1] ~= payload and not agrees then
  result = 'contradicts'
  -- The newest contradiction is kept, so the bytes stay bounded.
  local digest = redis.sha1hex(payload)
  if kept[2] ~= payload and kept[4] ~= digest then
    local bytes = #payload - #(kept[2] or '')
    if bytes <= 0 or all + bytes <= most then
      redis.call('HSET', key, 'other', payload, 'other_at', cx.at)
      redis.call('HDEL', key, 'other_digest')
    else
      bytes = 0 - #(kept[2] or '')
      redis.call('HDEL', key, 'other', 'other_at')
      redis.call('HSET', key, 'other_digest', digest)
    end
    redis.call('HINCRBY', key, 'contradictions', 1)
    keeps(bytes)
    redis.call('HINCRBY', STATS, 'signal_contradictions', 1)
    -- The last job that took the signal shows it.
    local job = kept[3] and JOB .. kept[3]
    if job and redis.call('HEXISTS', job, 'job') == 1 then
      append_history(job, cjson.encode({at = cx.now, did = 'contradicted', note = condition}))
      redis.call('PUBLISH', CHANGES, kept[3])
    end
  end
end
local released, left = release_parked(cx, condition, bound, 'begin')
local wake = put_all(cx)
tell(cx, '')
if wake then redis.call('PUBLISH', WAKE, cx.at) end
-- What contradicts a verdict by silence contradicts no payload.
if cx.contradicted then result = 'contradicts' end
return {result, kept[1] or cx.contradicted and 'null' or payload, released, left}
