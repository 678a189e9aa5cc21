-- The stored texts of a job. Pure.

-- A job's body starts with the head line, `enqueued at|class|deadline|due|route|version|kind|flow`.
-- A deadline is `ms` and what happens then (e: the job expires, r: it runs late). Due is by when
-- the outcome is expected (ms, 13 digits), and route the number of the route; both are zeros for a job
-- without an expectation. A flow is the tenant and the limit keys, separated by bars.
local HEAD = '^%d+|(%d)|([^|\n]*)|[^|\n]*|[^|\n]*|(%d*)|([^|\n]*)|([^\n]*)\n'
-- Returns kind, flow, class, deadline, version. A damaged body has a kind that no worker runs.
local function header(body)
  local class, deadline, version, kind, flow = string.match(body, HEAD)
  return kind or '?', flow or '', class or NORMAL, deadline or '', version or '0'
end
-- Returns due (a text, '' for none), the number of the route, and the tenant. A damaged body has
-- none.
local function expectation_of(body)
  local due, route, tenant = string.match(body, '^%d+|%d|[^|\n]*|(%d*)|(%d+)|%d*|[^|\n]*|([^|\n]*)')
  if not due or due == NO_DUE then due = '' end
  return due, route or '0', tenant or ''
end
-- The second line of a body, a list in JSON: subject, trace, labels. An empty list where it is
-- damaged; the arguments behind it may be anything.
local function meta_of(body)
  local ok, meta = pcall(cjson.decode, string.match(body, '^[^\n]*\n([^\n]*)') or '')
  return ok and type(meta) == 'table' and meta or {}
end
-- When the job was enqueued (ms).
local function enqueued_ms(body) return tonumber(string.match(body, '^%d+') or '0') end
-- The time of a deadline (ms, a text), and `e` or `r`; nil for a job without one.
local function parse_deadline(deadline) return string.match(deadline, '^(%d+)(.)') end

-- The state of a job is one field, and so one write: `state since`, followed by
-- ` token worker began` of the last attempt, once there was one. A running job has
-- `running token worker began claim`. A job without the field is ready for the first
-- time, and has nothing but its body and a count of duplicates.
local function state_of(text) return text and string.match(text, '^%a+') or 'ready' end
-- The last attempt: ` token worker began` with the leading blank, or ''.
local function attempt_of(text)
  if not text then return '' end
  return string.match(text, '^running( %d+ %S+ %d+)') or string.match(text, '^%a+ %d+( .*)$') or ''
end
-- The number of the claim by which a job runs; 0 for a job that does not run.
local function claim_of(text) return text and tonumber(string.match(text, '^running %d+ %S+ %d+ (%d+)$')) or 0 end
