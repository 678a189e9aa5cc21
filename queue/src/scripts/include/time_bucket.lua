-- The bucket of a time (ms) in a histogram, as `policy/histogram.rs` has it. Pure.
local function time_bucket(ms)
  if ms <= 0 then return 0 end
  return math.floor(math.log(ms) / math.log(2) * 8 + 0.000000001) + 1
end
