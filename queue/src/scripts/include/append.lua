-- Appends a line to a text field of a job, within caps in bytes and in lines.
-- include: add_line
local function append(key, field, line, bytes, lines)
  redis.call('HSET', key, field, add_line(redis.call('HGET', key, field), line, bytes, lines))
end
