/**
 * What each command does to a record, in Lua: the same as `core/fleetRecords` says, step by step.
 *
 * `c` is the command, `r` the record, `mark` the short mark of the member that asks.
 */
import { rememberedFailures } from "./records.js"

/** Circuits. */
export const circuits = `
local function sum(r, calls, failures, slow, votes, by)
  r.calls, r.failures, r.slow = r.calls + by * calls, r.failures + by * failures, r.slow + by * slow
  if calls > 0 then r.members = r.members + by end
  if votes % 2 == 1 then r.failing = r.failing + by end
  if votes >= 2 then r.slowing = r.slowing + by end
end
-- Takes back what a member said. False: it cannot be read.
local function unsay(r, member)
  local said = redis.call('HGET', r.said, member)
  if not said then return true end
  local calls, failures, slow, votes = string.match(said, '^(%d+) (%d+) (%d+) ([0-3])$')
  if not calls then return false end
  redis.call('HDEL', r.said, member)
  redis.call('ZREM', r.lapse, member)
  r.heard = r.heard - 1
  sum(r, tonumber(calls), tonumber(failures), tonumber(slow), tonumber(votes), -1)
  return true
end
local function begin(r, epoch)
  silence(r)
  r.epoch, r.slots, r.good, r.bad = epoch, {}, 0, 0
end
local function opened(r, c)
  begin(r, r.epoch + 1)
  r.open, r.ends, r.openMillis, r.openings = true, now + c.openMillis, c.openMillis, c.openings
end
local function closed(r)
  begin(r, r.epoch + 1)
  r.open, r.ends, r.closed, r.failed = false, 0, now, {}
end
local function held(list)
  local kept = {}
  for _, slot in ipairs(list) do if slot[2] > now then table.insert(kept, slot) end end
  return kept
end
local function without(list, id)
  local kept = {}
  for _, slot in ipairs(list) do if slot[1] ~= id then table.insert(kept, slot) end end
  return kept
end
local function done(r, is)
  return '{"op":"done","epoch":' .. num(r.epoch) .. ',"done":' .. bool(is) .. '}'
end
local function lease(r, left)
  return '{"op":"lease","epoch":' .. num(r.epoch) .. ',"granted":' .. bool(left == nil)
    .. ',"left":' .. num(left or 0) .. '}'
end

does.count = function(r, c)
  for _, member in ipairs(redis.call('ZRANGEBYSCORE', r.lapse, '-inf', num(now))) do
    if not unsay(r, member) then silence(r) break end
  end
  if c.epoch == r.epoch then
    if not unsay(r, mark) then silence(r) end
    local votes = (c.failing and 1 or 0) + (c.slowing and 2 or 0)
    redis.call('HSET', r.said, mark,
      num(c.calls) .. ' ' .. num(c.failures) .. ' ' .. num(c.slow) .. ' ' .. votes)
    redis.call('ZADD', r.lapse, num(now + batch.memberTimeout), mark)
    r.heard = r.heard + 1
    sum(r, c.calls, c.failures, c.slow, votes, 1)
  end
  return '{"op":"count","epoch":' .. num(r.epoch) .. ',"calls":' .. num(r.calls)
    .. ',"failures":' .. num(r.failures) .. ',"slow":' .. num(r.slow)
    .. ',"members":' .. num(r.members) .. ',"failing":' .. num(r.failing)
    .. ',"slowing":' .. num(r.slowing) .. ',"heard":' .. num(r.heard) .. '}'
end
does.open = function(r, c)
  local is = c.epoch == r.epoch and not r.open
  if is then opened(r, c) end
  return done(r, is)
end
does.close = function(r, c)
  local is = c.epoch == r.epoch
  if is then
    closed(r)
    r.openings, r.openMillis = 0, 0
  end
  return done(r, is)
end
does.trial = function(r, c)
  if c.epoch ~= r.epoch or not r.open then return lease(r, 0) end
  if r.ends > now then return lease(r, r.ends - now) end
  local grace = r.ends + c.grace - now
  for _, member in ipairs(r.failed) do
    if grace > 0 and member == mark then return lease(r, grace) end
  end
  r.slots = held(r.slots)
  if r.good + r.bad + #r.slots >= c.trials then
    local soonest = nil
    for _, slot in ipairs(r.slots) do soonest = math.min(soonest or slot[2], slot[2]) end
    return lease(r, soonest and math.max(0, soonest - now) or 0)
  end
  table.insert(r.slots, { c.id, now + c.timeout })
  return lease(r, nil)
end
does.trialEnd = function(r, c)
  local before = held(r.slots)
  local kept = without(before, c.id)
  if c.epoch ~= r.epoch or not r.open or #kept == #before then return done(r, false) end
  r.slots = kept
  if c.result == 'free' and c.wait > 0 then table.insert(r.slots, { '', now + c.wait }) end
  if c.result == 'bad' then
    r.bad = r.bad + 1
    local failed = {}
    for _, member in ipairs(r.failed) do
      if member ~= mark then table.insert(failed, member) end
    end
    table.insert(failed, mark)
    if #failed > ${rememberedFailures} then table.remove(failed, 1) end
    r.failed = failed
  end
  if c.result == 'good' then r.good = r.good + 1 end
  if r.bad >= c.badLimit then
    opened(r, c)
    return done(r, true)
  end
  if r.good < c.goodLimit then return done(r, false) end
  closed(r)
  return done(r, true)
end
`

/** Orders, cooldowns, and what a store has lost. */
export const orders = `
local function later(r, known) r.epoch = math.max(r.epoch, known) + 1 end

does.order = function(r, c)
  r.order = c.order
  if c.reset then r.resets = r.resets + 1 end
  later(r, c.epoch)
  return done(r, true)
end
does.isolate = function(r, c)
  r.handles = without(held(r.handles), c.id)
  table.insert(r.handles, { c.id, now + c.hold })
  later(r, c.epoch)
  return done(r, true)
end
does.release = function(r, c)
  local before = held(r.handles)
  r.handles = without(before, c.id)
  local is = #r.handles < #before
  if is then later(r, c.epoch) end
  return done(r, is)
end

does.hold = function(r, c)
  local ends = now + c.left
  if r.held and r.ends >= ends and not r.trial then return done(r, false) end
  r.ends = r.held and math.max(r.ends, ends) or ends
  r.held, r.trial = true, nil
  later(r, c.epoch)
  return done(r, true)
end
does.probe = function(r, c)
  if not r.held then return lease(r, 0) end
  if r.ends > now then return lease(r, r.ends - now) end
  if r.trial and r.trial[2] > now then return lease(r, r.trial[2] - now) end
  r.trial = { c.id, now + c.timeout }
  return lease(r, nil)
end
does.probeEnd = function(r, c)
  if not r.trial or r.trial[1] ~= c.id or r.trial[2] <= now then return done(r, false) end
  r.trial = nil
  if not c.serves then return done(r, false) end
  r.held, r.epoch = false, r.epoch + 1
  return done(r, true)
end

does.known = function(r, c)
  local v = c.view
  if v.epoch > r.epoch then
    if r.kind == 'circuit' then
      begin(r, v.epoch)
      r.open, r.ends = v.open, v.open and now + v.left or 0
      r.openings, r.openMillis, r.closed = v.openings, v.openMillis, now - v.closedFor
    elseif r.kind == 'order' then
      r.epoch, r.order, r.resets = v.epoch, v.order, math.max(r.resets, v.resets)
    else
      local ends = v.held and now + v.left or now
      r.ends = r.held and math.max(r.ends, ends) or ends
      r.epoch, r.held, r.trial = v.epoch, r.held or v.held, nil
    end
  end
  return '{"op":"known"}'
end
`

/** Tokens and permits. */
export const limits = `
does.tokens = function(r, c)
  local taken = math.max(now, r.taken - c.back * c.spacing)
  local room = c.burst * c.spacing - (taken - now)
  local function within(millis)
    return math.max(0, math.min(c.want, math.floor((room + millis) / c.spacing + 1e-6)))
  end
  local function due(token) return math.max(0, token * c.spacing - room) end
  local granted, soon = within(0), within(c.horizon)
  local all = soon < c.first and due(c.first) <= c.patience and c.first or soon
  local is = c.want > 0 and all >= c.first
  r.taken = is and taken + all * c.spacing or taken
  return '{"op":"tokens","granted":' .. num(is and granted or 0)
    .. ',"booked":' .. num(is and all - granted or 0)
    .. ',"due":' .. num(due(is and granted + 1 or c.first)) .. '}'
end

-- Takes back what a member holds. False: it cannot be read.
local function drop(r, member)
  local has = redis.call('HGET', r.said, member)
  if not has then return true end
  if not string.match(has, '^%d+$') then return false end
  redis.call('HDEL', r.said, member)
  redis.call('ZREM', r.lapse, member)
  r.heard, r.held = r.heard - 1, r.held - tonumber(has)
  return true
end
does.permits = function(r, c)
  for _, member in ipairs(redis.call('ZRANGEBYSCORE', r.lapse, '-inf', num(now))) do
    redis.call('ZREM', r.line, member)
    if not drop(r, member) then vacate(r) break end
  end
  if not drop(r, mark) then vacate(r) end
  local place, wanting = redis.call('ZRANK', r.line, mark), redis.call('ZCARD', r.line)
  local others = wanting - (place and 1 or 0)
  local fair = others > 0 and math.floor(c.concurrency / (r.heard + 1)) or c.concurrency
  local free = math.max(0, c.concurrency - r.held - c.held - (place or wanting))
  local granted = math.max(c.held, math.min(c.need, c.held + free, math.max(1, fair)))
  if granted >= math.min(c.need, math.max(1, fair)) then
    redis.call('ZREM', r.line, mark)
  elseif not place then
    r.places = r.places + 1
    redis.call('ZADD', r.line, num(r.places), mark)
  end
  if c.need > 0 then
    redis.call('HSET', r.said, mark, num(granted))
    redis.call('ZADD', r.lapse, num(now + batch.memberTimeout), mark)
    r.heard, r.held = r.heard + 1, r.held + granted
  end
  return '{"op":"permits","granted":' .. num(granted)
    .. ',"fair":' .. num(r.held > c.concurrency and 0 or fair) .. '}'
end
`
