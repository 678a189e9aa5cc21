-- Writes a whole number in full. Lua writes large numbers in scientific notation when they
-- become part of a text. (Redis writes a number that is an argument of a command in full.)
local function int(x) return string.format('%d', x) end
