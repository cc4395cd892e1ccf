/**
 * How the script reads and writes the records of a fleet, in Lua.
 *
 * A record is one packed string under a key of its own, which expires. What members said of it
 * stands beside it: a hash of what each said, by a short mark of the member, and a sorted set of
 * when that lapses. A record that cannot be read is dropped whole, and so is what stands beside it
 * where the two do not fit: a script is not undone where it fails, so it looks before it writes.
 *
 * `until` is a word of Lua, so what ends has `ends`.
 */

const hourMillis = 3_600_000

/** As the pure machine does: an hour after the last word and the end, orders a week. */
const keptMillis = { order: 7 * 24 * hourMillis, others: hourMillis } as const

/** How many members are remembered as having failed a trial. */
export const rememberedFailures = 32

/** Reading and writing. */
export const storage = `
local huge = 9007199254740992
local far = now + 6.4e12
local function num(n)
  if n ~= n or n > 1e300 or n < -1e300 or n == 0 then n = 0 end
  return string.format('%.17g', n)
end
local function bool(b) return b and 'true' or 'false' end
local function text(s) return cjson.encode(s) end
local function is(n, low, high) return type(n) == 'number' and n >= low and n <= high end
local function whole(n) return is(n, 0, huge) and n == math.floor(n) end
local function unpacked(key)
  local packed = redis.pcall('GET', key)
  if type(packed) ~= 'string' or #packed > 65536 then return nil end
  local ok, value = pcall(cmsgpack.unpack, packed)
  if ok and type(value) == 'table' then return value end
end
local function size(command, key)
  local count = redis.pcall(command, key)
  return type(count) == 'number' and count or -1
end
local function ttl(ends) return num(math.max(1, math.ceil(ends - now))) end
local function slots(list, most)
  if type(list) ~= 'table' or #list > most then return false end
  for _, slot in ipairs(list) do
    if type(slot) ~= 'table' or type(slot[1]) ~= 'string' or not is(slot[2], 0, far) then
      return false
    end
  end
  return true
end

local counts = {
  circuit = { 'version', 'epoch', 'openings', 'good', 'bad', 'calls', 'failures', 'slow',
    'members', 'failing', 'slowing', 'heard' },
  order = { 'version', 'epoch', 'resets' },
  cooldown = { 'version', 'epoch' },
  line = {},
  permits = { 'held', 'heard', 'places' }
}
local times = {
  circuit = { 'ends', 'openMillis' }, order = {}, cooldown = { 'ends' }, line = { 'taken' },
  permits = {}
}
local orders = { None = true, ForcedOpen = true, ForcedClosed = true, Disabled = true }
local told = { circuit = true, order = true, cooldown = true }

local function readable(r, kind)
  if not r or r.kind ~= kind or r.of ~= fleet.of or not is(r.expires, 0, far) then return false end
  for _, name in ipairs(counts[kind]) do if not whole(r[name]) then return false end end
  for _, name in ipairs(times[kind]) do if not is(r[name], -far, far) then return false end end
  if kind == 'circuit' then
    if type(r.failed) ~= 'table' or #r.failed > ${rememberedFailures} then return false end
    for _, mark in ipairs(r.failed) do if type(mark) ~= 'string' then return false end end
    return type(r.open) == 'boolean' and is(r.closed, -far, far) and slots(r.slots, 4096)
  elseif kind == 'order' then
    return orders[r.order] ~= nil and slots(r.handles, 4096)
  elseif kind == 'cooldown' then
    return type(r.held) == 'boolean' and (r.trial == nil or slots({ r.trial }, 1))
  end
  return true
end

-- What members said of a circuit, and what they hold of a bulkhead.

local function silence(r)
  redis.call('DEL', r.said, r.lapse)
  r.heard, r.calls, r.failures, r.slow, r.members, r.failing, r.slowing = 0, 0, 0, 0, 0, 0, 0
end
local function vacate(r)
  redis.call('DEL', r.said, r.lapse, r.line)
  r.heard, r.held = 0, 0
end
local function fits(r)
  return size('HLEN', r.said) == r.heard and size('ZCARD', r.lapse) == r.heard
end

local makes = {
  circuit = function(r)
    r.version, r.epoch, r.open, r.ends, r.openings, r.openMillis = 0, 0, false, 0, 0, 0
    r.closed, r.good, r.bad, r.slots, r.failed = now, 0, 0, {}, {}
    silence(r)
  end,
  order = function(r) r.version, r.epoch, r.order, r.resets, r.handles = 0, 0, 'None', 0, {} end,
  cooldown = function(r) r.version, r.epoch, r.held, r.ends, r.trial = 0, 0, false, now, nil end,
  line = function(r) r.taken = now end,
  permits = function(r) r.places = 0 vacate(r) end
}

-- The record of a name, made by its first use, and the epoch that it had.
local function load(kind, name, at)
  local r = unpacked(KEYS[at])
  local found = readable(r, kind) and r.expires > now
  if not found then
    redis.call('ZREM', KEYS[6], name)
    r = { kind = kind, of = fleet.of, expires = now }
  end
  r.name, r.key, r.said, r.lapse, r.line = name, KEYS[at], nil, nil, nil
  if kind == 'circuit' or kind == 'permits' then r.said, r.lapse = KEYS[at + 1], KEYS[at + 2] end
  if kind == 'permits' then r.line = KEYS[at + 3] end
  if not found then
    makes[kind](r)
  elseif kind == 'circuit' then
    if not fits(r) then silence(r) end
  elseif kind == 'permits' then
    local waiting = size('ZCARD', r.line)
    if not fits(r) or waiting < 0 or waiting > r.heard then vacate(r) end
  end
  return r, found and r.epoch or 0
end

local function store(r, epoch)
  local kept = r.kind == 'order' and ${keptMillis.order} or ${keptMillis.others}
  r.expires = math.max(r.expires, math.max(now, r.ends or 0, r.taken or 0) + kept)
  if told[r.kind] and r.epoch > epoch then
    fleet.version = fleet.version + 1
    r.version = fleet.version
    redis.call('ZADD', KEYS[6], num(r.version), r.name)
    if not changed[r.name] then table.insert(news, r.name) end
    changed[r.name] = r
  elseif changed[r.name] then
    changed[r.name] = r
  end
  local name, key, said, lapse, line = r.name, r.key, r.said, r.lapse, r.line
  r.name, r.key, r.said, r.lapse, r.line = nil, nil, nil, nil, nil
  redis.call('SET', key, cmsgpack.pack(r), 'PX', ttl(r.expires))
  r.name, r.key, r.said, r.lapse, r.line = name, key, said, lapse, line
  for _, beside in ipairs({ said, lapse, line }) do
    redis.call('PEXPIRE', beside, ttl(r.expires))
  end
  fleet.expires = math.max(fleet.expires, r.expires)
end

local function view(r, name)
  local start = '{"kind":"' .. r.kind .. '","name":' .. text(name) .. ',"epoch":' .. num(r.epoch)
  if r.kind == 'circuit' then
    return start .. ',"open":' .. bool(r.open) .. ',"left":' .. num(r.open and r.ends - now or 0)
      .. ',"openings":' .. num(r.openings) .. ',"openMillis":' .. num(r.openMillis)
      .. ',"closedFor":' .. num(r.open and 0 or now - r.closed) .. '}'
  elseif r.kind == 'order' then
    local left = 0
    for _, handle in ipairs(r.handles) do left = math.max(left, handle[2] - now) end
    return start .. ',"order":"' .. r.order .. '","resets":' .. num(r.resets)
      .. ',"isolated":' .. num(left) .. '}'
  end
  return start .. ',"held":' .. bool(r.held)
    .. ',"left":' .. num(r.held and r.ends - now or 0) .. '}'
end
`
