-- A write of an attempt is fenced: it counts only while the job runs under the same token and
-- worker. Pure.
local function fence_of(token, worker) return 'running ' .. token .. ' ' .. worker .. ' ' end
local function is_held(text, fence) return text and string.sub(text, 1, #fence) == fence end
