-- Purpose: insert a batch of jobs, or find those that exist already.
-- KEYS: 1 control, 2 none
-- ARGV: 1 number of items (at most 77), 2 arguments of each item (2 to 6), 3 number
--       of groups (at most 20 lanes), 4 number of routes, and their names; then for each group: its
--       lane (class:flow), the place of its route among the names (0 for none), within how many ms from
--       now an outcome is due at the latest, the number of its items, and of each of these the first of
--       id; body (version, kind, flow, meta, arguments); by when the outcome is expected (ms, 13
--       digits; as many zeros for none, '' for the latest); subject ('' for none); delay in ms (0 for ready now); what is
--       rare, '' for none:
--       `deadline in ms|e (expire) or r (run late)|1 where a dead job gives way, k
--       where only that which holds the idempotency key does|lifetime of that key in
--       ms|how long a duplicate is noted in ms|idempotency key`
-- Returns: {place, result, ...} of the items that were found and not inserted. The place counts
--       from 1. The result is the state of the job that was found under the same id; or its
--       state, a blank and its id where it was found by the idempotency key; or `damaged` where
--       the key of the job has another type.
-- include: open, insert
local cx = open()
if cx.err then return cx end
return wrong_batch(1) or insert_batch(cx, 1)
